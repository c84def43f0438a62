// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/event_stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <string_view>

#include "vmm_shim/reference/scenarios/fail.h"
#include "vmm_shim/reference/scenarios/socket_address.h"

namespace memfail::scenarios {
namespace {

constexpr std::string_view kAllThereIs = "{\"since\":0}\n";

int connect_to(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = socket_address(path);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    fail(path);
  }
  if (write(fd, kAllThereIs.data(), kAllThereIs.size()) < 0) fail(path);
  return fd;
}

}  // namespace

EventStream::EventStream(const std::string& path) : fd_(connect_to(path)), reader_(fd_.get()) {}

bool EventStream::read_one(Clock::time_point limit) {
  const auto line = reader_.next(limit);
  if (!line) return false;
  Json event = Json::parse(*line, nullptr, false);
  if (!event.is_object() || !event.contains("event")) return true;  // the header
  lines_.push_back(*line);
  const std::string vm = event["data"]["memfail"]["vm"].value("name", "");
  by_vm_[vm].push_back(std::move(event));
  return true;
}

void EventStream::read_until(const std::string& vm, std::size_t count, Clock::time_point limit) {
  while (by_vm_[vm].size() < count && read_one(limit)) {
  }
}

void EventStream::read_until_quiet(Clock::duration quiet) {
  while (read_one(Clock::now() + quiet)) {
  }
}

std::vector<Json> EventStream::events_of(const std::string& vm) const {
  const auto found = by_vm_.find(vm);
  return found == by_vm_.end() ? std::vector<Json>{} : found->second;
}

}  // namespace memfail::scenarios
