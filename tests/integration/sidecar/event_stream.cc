// SPDX-License-Identifier: BSD-3-Clause
#include "event_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>

#include "gtest/gtest.h"
#include "peer.h"
#include "sidecar/ctl/policy_load.h"

namespace memfail::test {
namespace {

using nlohmann::json;

constexpr int kPatienceMs = 5000;

shm::UniqueFd connect_to(const std::string& path) {
  shm::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

}  // namespace

void publish(const Daemon& daemon, std::size_t count) {
  const std::string file = daemon.directory() + "/published.json";
  std::ofstream(file) << R"({"version": 1})";
  const auto request = ctl::policy_to_load(file);
  ASSERT_TRUE(request) << request.error();
  const std::string line = request->dump() + "\n";
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_NE(stream_line(daemon.ctl(), line).find("digest"), std::string::npos) << i;
  }
}

EventStream::EventStream(const std::string& path, const std::string& request)
    : fd_(connect_to(path)) {
  ::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL);
}

std::optional<json> EventStream::line() {
  for (;;) {
    const std::size_t newline = buffer_.find('\n');
    if (newline != std::string::npos) {
      json object = json::parse(buffer_.substr(0, newline));
      buffer_.erase(0, newline + 1);
      return object;
    }
    pollfd one{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    std::array<char, 65536> bytes{};
    if (::poll(&one, 1, kPatienceMs) != 1) return std::nullopt;
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) return std::nullopt;
    buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

std::vector<json> EventStream::rest() {
  std::vector<json> lines;
  while (auto one = line()) lines.push_back(std::move(*one));
  return lines;
}

json EventStream::notice() {
  const auto one = line();
  return one && one->contains("memfaild") ? (*one)["memfaild"] : json::object();
}

std::uint64_t told_or_gone(const std::vector<json>& lines) {
  std::uint64_t expected = 1;
  for (const json& line : lines) {
    if (line.contains("event")) {
      EXPECT_EQ(line["data"]["memfail"]["seq"], expected);
      ++expected;
    } else if (line["memfaild"].contains("gap")) {
      EXPECT_EQ(line["memfaild"]["gap"]["from"], expected);
      expected = line["memfaild"]["gap"]["to"].get<std::uint64_t>() + 1;
    }
  }
  return expected;
}

}  // namespace memfail::test
