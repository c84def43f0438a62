// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/notice_words.h"

#include "sidecar/ctl/json_text.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

std::string gap_words(const json& notice) {
  const std::string from = text_at(notice, "/gap/from");
  const std::string to = text_at(notice, "/gap/to");
  const std::string other = text_at(notice, "/gap/journal");
  if (other != "-") {
    return "gap: memfaild has another journal, " + text_at(notice, "/journal") +
           "; what came in journal " + other + " from event " + from +
           " on cannot be had; all events of the new one follow";
  }
  if (from == to) return "gap: event " + from + " is gone";
  return "gap: events " + from + " to " + to + " are gone";
}

std::string error_words(const json& notice) {
  std::string text = text_at(notice, "/error");
  const json accepted = notice.value("accepted", json::array());
  for (const json& one : accepted) {
    if (!one.is_string()) continue;
    text += (&one == &accepted.front() ? "; it has: " : ", ") + shown(one.get<std::string>());
  }
  return text;
}

}  // namespace

std::optional<std::string> notice_words(const json& notice) {
  if (notice.contains("error")) return error_words(notice);
  if (notice.contains("gap")) return gap_words(notice);
  if (notice.contains("cut-off")) {
    return "memfaild cut this reader off, it was too slow; going on with event " +
           text_at(notice, "/resume-from");
  }
  return std::nullopt;
}

std::string durable_words(const std::string& seq, bool durable) {
  return "from event " + seq + " on: " +
         (durable ? "on disk again, a power cut leaves them"
                  : "not on disk (no journal, or its disk fails), a power cut takes them");
}

}  // namespace memfail::ctl
