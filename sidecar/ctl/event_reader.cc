// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/event_reader.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "sidecar/ctl/json_text.h"
#include "sidecar/ctl/notice_words.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{100};
constexpr milliseconds kLongestDelay{5000};

}  // namespace

EventReader::EventReader(Options options, EventPlace place, EventSink& sink)
    : options_(std::move(options)), place_(std::move(place)), sink_(sink), delay_(kFirstDelay) {}

ReadStatus EventReader::run() {
  for (;;) {
    auto socket = LineSocket::open(options_.socket);
    if (!socket && !(connected_before_ && options_.follow)) {
      sink_.notice(socket.error());
      return connected_before_ ? ReadStatus::kIncomplete : ReadStatus::kFailed;
    }
    if (socket) {
      const Ending ending = read(*socket);
      if (const auto status = after(ending)) return *status;
      connected_before_ = true;
      if (ending == Ending::kCutOff) continue;
    }
    back_off();
  }
}

// Grows while nothing is read, so that a memfaild that is away for a day costs nothing.
void EventReader::back_off() {
  away_ = true;
  std::this_thread::sleep_for(delay_);
  delay_ = std::min(delay_ * 2, kLongestDelay);
}

void EventReader::ask(LineSocket& socket) {
  json request = options_.filters;
  request["follow"] = options_.follow;
  place_.add_to(request);
  socket.send(request.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

// None: connect again.
std::optional<ReadStatus> EventReader::after(Ending ending) {
  switch (ending) {
    case Ending::kEnd:
      return something_is_missing_ ? ReadStatus::kIncomplete : ReadStatus::kAll;
    case Ending::kNobody:
      return ReadStatus::kFailed;
    case Ending::kCutOff:
      return std::nullopt;
    case Ending::kRefused:
      // What was taken before is refused for a reason that may pass.
      if (connected_before_ && options_.follow) return std::nullopt;
      return ReadStatus::kFailed;
    case Ending::kClosed:
      break;
  }
  if (!options_.follow) {
    sink_.notice("memfaild ended before it had said all");
    return ReadStatus::kIncomplete;
  }
  sink_.notice("memfaild closed the stream; waiting for it to come back");
  return std::nullopt;
}

EventReader::Ending EventReader::read(LineSocket& socket) {
  ask(socket);
  while (const auto line = socket.receive()) {
    if (const auto ending = take_line(*line)) return *ending;
  }
  return Ending::kClosed;
}

std::optional<EventReader::Ending> EventReader::take_line(const std::string& line) {
  const json object = json::parse(line, nullptr, false);
  if (object.is_object() && object.contains("event")) return take_event(line, object);
  if (object.is_object() && object.contains("memfaild")) return take_notice(object["memfaild"]);
  if (object.is_object() && object.contains("error")) {
    sink_.notice("'" + options_.socket + "' is the ctl socket; give the path of --events");
  } else {
    sink_.notice("a line is not JSON; is this memfaild's --events socket?");
  }
  return Ending::kRefused;
}

std::optional<EventReader::Ending> EventReader::take_notice(const json& notice) {
  place_.take_notice(notice);
  if (notice.contains("first-seq")) {
    if (std::exchange(away_, false)) sink_.notice("memfaild is back");
    sink_.connected(notice.value("next-seq", std::uint64_t{0}));
    return std::nullopt;
  }
  if (notice.contains("gap")) something_is_missing_ = true;
  if (const auto words = notice_words(notice); words && *words != last_words_) {
    sink_.notice(*words);
    last_words_ = notice.contains("error") ? *words : "";
  }
  if (notice.contains("error")) return Ending::kRefused;
  if (notice.contains("cut-off")) return Ending::kCutOff;
  return notice.contains("end") ? std::optional(Ending::kEnd) : std::nullopt;
}

std::optional<EventReader::Ending> EventReader::take_event(const std::string& line,
                                                           const json& event) {
  say_durable(event);
  last_words_.clear();
  delay_ = kFirstDelay;
  const json::json_pointer seq("/data/memfail/seq");
  if (event.contains(seq)) place_.take_event(event.at(seq).get<std::uint64_t>());
  return sink_.event(line, event) ? std::nullopt : std::optional(Ending::kNobody);
}

void EventReader::say_durable(const json& event) {
  const json::json_pointer path("/data/memfail/durable");
  if (!event.contains(path) || !event.at(path).is_boolean()) return;
  const bool durable = event.at(path).get<bool>();
  if (durable != std::exchange(durable_, durable)) {
    sink_.notice(durable_words(text_at(event, "/data/memfail/seq"), durable));
  }
}

}  // namespace memfail::ctl
