// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/operator.h"

#include <sys/socket.h>
#include <unistd.h>

#include "vmm_shim/reference/scenarios/fail.h"
#include "vmm_shim/reference/scenarios/socket_address.h"

namespace memfail::scenarios {
namespace {

int ask(const std::string& path, const std::string& line) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = socket_address(path);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    fail(path);
  }
  if (write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail(path);
  return fd;
}

std::string line_of(std::string_view order, const std::string& vm) {
  Json json = Json::parse(order);
  json["vm"] = vm;
  return json.dump() + "\n";
}

}  // namespace

Operator::Operator(const std::string& ctl_socket, std::string_view order, const std::string& vm)
    : fd_(ask(ctl_socket, line_of(order, vm))), reader_(fd_.get()) {}

std::vector<Json> Operator::told_before(Clock::time_point limit) {
  std::vector<Json> told;
  while (const auto line = reader_.next(limit)) told.push_back(Json::parse(*line, nullptr, false));
  return told;
}

}  // namespace memfail::scenarios
