// SPDX-License-Identifier: BSD-3-Clause
#include "tests/qemu/qmp.h"

#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tests/qemu/deadline.h"

namespace memfail::qemu {

Qmp::Qmp(shm::UniqueFd socket) : socket_(std::move(socket)), lines_(socket_.get()) {
  if (!next("a greeting").contains("QMP")) throw std::runtime_error("QMP: no greeting");
  execute("qmp_capabilities");
}

Json Qmp::next(const std::string& awaited) {
  const auto line = lines_.next(deadline());
  if (!line) throw std::runtime_error("QMP: waited for " + awaited + ", and it did not come");
  return Json::parse(*line);
}

Json Qmp::execute(const std::string& command, const Json& arguments) {
  const std::string line = Json{{"execute", command}, {"arguments", arguments}}.dump() + "\n";
  // A line fits the socket's buffer.
  if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    throw std::runtime_error("QMP: " + command + " cannot be sent");
  }
  for (;;) {
    Json message = next("the answer to " + line);
    if (message.contains("return")) return message["return"];
    if (!message.contains("event")) throw std::runtime_error("QMP: " + line + message.dump());
    events_.push_back(std::move(message));
  }
}

std::string Qmp::monitor(const std::string& line, unsigned vcpu) {
  std::string text = execute("human-monitor-command", {{"command-line", line}, {"cpu-index", vcpu}})
                         .get<std::string>();
  std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
  return text;
}

Json Qmp::event(const std::string& name) {
  for (;;) {
    const auto found =
        std::ranges::find_if(events_, [&](const Json& event) { return event["event"] == name; });
    if (found != events_.end()) {
      Json event = std::move(*found);
      events_.erase(found);
      return event;
    }
    events_.push_back(next("an event " + name));
  }
}

std::vector<Json> Qmp::take_events(const std::string& name) {
  std::vector<Json> taken;
  std::erase_if(events_, [&](const Json& event) {
    if (event["event"] != name) return false;
    taken.push_back(event);
    return true;
  });
  return taken;
}

}  // namespace memfail::qemu
