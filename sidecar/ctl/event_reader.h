// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the event stream and goes on where it was: after it was cut off at once, after
// memfaild went away as soon as it is back, if it is to follow.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/ctl/event_place.h"
#include "sidecar/ctl/line_socket.h"

namespace memfail::ctl {

// Where what was read goes.
class EventSink {
 public:
  // Before the first event, and on each connection. `next_seq` is the next to come.
  virtual void connected(std::uint64_t next_seq) = 0;
  // False: nobody takes them any more.
  virtual bool event(std::string_view line, const nlohmann::json& event) = 0;
  // One sentence.
  virtual void notice(const std::string& words) = 0;

 protected:
  ~EventSink() = default;
};

// How a program ends (see memfailctl events --help).
enum class ReadStatus : std::uint8_t { kAll = 0, kFailed = 1, kIncomplete = 2 };

class EventReader {
 public:
  struct Options {
    std::string socket;
    bool follow = false;
    nlohmann::json filters;  // the request's members vm, action and reason
  };

  EventReader(Options options, EventPlace place, EventSink& sink);

  // With `follow`: until the sink ends it, or memfaild refuses the request.
  ReadStatus run();

 private:
  enum class Ending : std::uint8_t { kEnd, kRefused, kCutOff, kClosed, kNobody };

  void ask(LineSocket& socket);
  std::optional<ReadStatus> after(Ending ending);
  Ending read(LineSocket& socket);
  std::optional<Ending> take_line(const std::string& line);
  std::optional<Ending> take_notice(const nlohmann::json& notice);
  std::optional<Ending> take_event(const std::string& line, const nlohmann::json& event);
  void say_durable(const nlohmann::json& event);
  void back_off();

  Options options_;
  EventPlace place_;
  EventSink& sink_;
  bool connected_before_ = false;
  bool away_ = false;  // memfaild, when last tried
  bool something_is_missing_ = false;
  bool durable_ = true;  // the last event
  std::string last_words_;  // said already
  std::chrono::milliseconds delay_;
};

}  // namespace memfail::ctl
