// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/event_place.h"

#include <utility>

namespace memfail::ctl {

using nlohmann::json;

EventPlace::EventPlace(std::optional<std::uint64_t> since, std::string journal)
    : since_(since), journal_(std::move(journal)) {}

void EventPlace::add_to(json& request) const {
  if (since_) request["since"] = *since_;
  if (since_ && !journal_.empty()) request["journal"] = journal_;
}

void EventPlace::take_notice(const json& notice) {
  if (notice.contains("first-seq")) {  // the header
    const std::string journal = notice.value("journal", "");
    if (!journal_.empty() && journal != journal_) since_ = 0;
    journal_ = journal;
    if (!since_) since_ = notice.at("next-seq").get<std::uint64_t>();
  } else if (notice.contains("error") && notice.contains("next-seq")) {
    since_ = notice["next-seq"].get<std::uint64_t>();  // a place that does not exist any more
  } else if (notice.contains("resume-from")) {
    since_ = notice["resume-from"].get<std::uint64_t>();
  } else if (notice.contains("gap") && notice["gap"].value("to", json()).is_number_unsigned()) {
    since_ = notice["gap"]["to"].get<std::uint64_t>() + 1;
  }
}

}  // namespace memfail::ctl
