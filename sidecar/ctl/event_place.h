// SPDX-License-Identifier: BSD-3-Clause
//
// Where a reader of events is, from what memfaild has told it: enough to ask another
// time, of the same memfaild or the next, and to miss and double nothing.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace memfail::ctl {

class EventPlace {
 public:
  // As the user gave it: none is from now on, 0 all there is; `journal` may be empty.
  EventPlace(std::optional<std::uint64_t> since, std::string journal);

  // Adds the members of a request.
  void add_to(nlohmann::json& request) const;

  // The object beside "memfaild" in a line of memfaild's own. A header of another
  // journal than before: all it has is new.
  void take_notice(const nlohmann::json& notice);
  void take_event(std::uint64_t seq) { since_ = seq + 1; }

  const std::optional<std::uint64_t>& since() const { return since_; }
  const std::string& journal() const { return journal_; }

 private:
  std::optional<std::uint64_t> since_;
  std::string journal_;
};

}  // namespace memfail::ctl
