// SPDX-License-Identifier: BSD-3-Clause
//
// The first line of a reader: where to begin, whether to stay, which events.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/events/filter.h"

namespace memfail::events {

struct Request {
  std::optional<std::uint64_t> since;  // none: from now on; 0: all there is
  bool follow = true;
  std::optional<std::string> journal;  // whose seq `since` is
  Filter filter;
};

// Of the line without its '\n', which may be anything. The error is the whole answer, a
// refusal_line(): a member that is misspelled is refused, not passed over, because what
// the reader then got would not be what it asked for.
std::expected<Request, std::string> parse_request(std::string_view line);

}  // namespace memfail::events
