// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/event_reader.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace memfail::kill {
namespace {

constexpr int kPatienceMs = 60'000;

}  // namespace

EventReader::EventReader(std::string socket, Story& story)
    : path_(std::move(socket)), story_(story) {}

shm::UniqueFd EventReader::connected() const {
  shm::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fd.reset();
  }
  return fd;
}

void EventReader::connect() {
  shm::UniqueFd fd = connected();
  if (!fd.valid()) return;
  std::string request = "{\"since\":" + std::to_string(story_.next_seq());
  if (!story_.journal().empty()) request += ",\"journal\":\"" + story_.journal() + "\"";
  request += "}\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0) socket_ = std::move(fd);
  rest_.clear();
}

std::optional<EventReader::Published> EventReader::published() const {
  const shm::UniqueFd fd = connected();
  if (fd.valid()) (void)::shutdown(fd.get(), SHUT_WR);  // no request: the header at once
  std::string line;
  std::array<char, 4096> some;
  pollfd wait{fd.get(), POLLIN, 0};
  while (line.find('\n') == std::string::npos) {
    if (!fd.valid() || ::poll(&wait, 1, kPatienceMs) != 1) return std::nullopt;
    const ssize_t got = ::recv(fd.get(), some.data(), some.size(), 0);
    if (got <= 0) return std::nullopt;
    line.append(some.data(), static_cast<std::size_t>(got));
  }
  const auto header = parse_note(std::string_view(line).substr(0, line.find('\n')));
  if (!header || !header->first_seq) return std::nullopt;
  return Published{header->journal, *header->first_seq, *header->next_seq};
}

void EventReader::pump() {
  if (!socket_.valid()) connect();
  std::array<char, 64 * 1024> bytes;
  while (socket_.valid()) {
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      socket_.reset();
      return;
    }
    take({bytes.data(), static_cast<std::size_t>(got)});
  }
}

void EventReader::take(std::string_view bytes) {
  rest_ += bytes;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    story_.take(std::string_view(rest_).substr(begin, end - begin));
  }
  rest_.erase(0, begin);
}

}  // namespace memfail::kill
