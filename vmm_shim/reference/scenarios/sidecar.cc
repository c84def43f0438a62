// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/sidecar.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "vmm_shim/reference/scenarios/fail.h"
#include "vmm_shim/reference/scenarios/socket_address.h"
#include "vmm_shim/reference/scenarios/wait.h"

namespace memfail::scenarios {
namespace {

constexpr int kNotThere = 127;  // Child's status for a program that cannot be run
constexpr auto kStartLimit = std::chrono::seconds(20);

// The receiving end of systemd's readiness protocol.
class ReadySocket {
 public:
  explicit ReadySocket(std::string path) : path_(std::move(path)) {
    const sockaddr_un address = socket_address(path_);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
      fail(path_);
    }
    fd_ = reference::UniqueFd(fd);
  }
  ReadySocket(const ReadySocket&) = delete;
  ReadySocket& operator=(const ReadySocket&) = delete;
  ~ReadySocket() { unlink(path_.c_str()); }

  // False at the limit, and when the child has ended.
  bool ready_before(Clock::time_point limit, const Child& child) const {
    while (first_readable(fd_.get(), child.end(), limit) == fd_.get()) {
      std::array<char, 256> text{};
      const ssize_t count = recv(fd_.get(), text.data(), text.size(), 0);
      if (count < 0) return false;
      if (std::string_view(text.data(), static_cast<std::size_t>(count)).contains("READY=1")) {
        return true;
      }
    }
    return false;
  }

 private:
  std::string path_;
  reference::UniqueFd fd_;
};

}  // namespace

Sidecar::Sidecar(SidecarProgram program, std::string folder, std::string log)
    : program_(std::move(program)), folder_(std::move(folder)), log_(std::move(log)) {}

void Sidecar::start() {
  const std::string notify = folder_ + "/notify";
  const ReadySocket ready(notify);
  const std::string events = folder_ + "/events.sock";
  child_ = std::make_unique<Child>(
      ChildStart{{program_.path, "--policy", program_.policy, "--sandbox", program_.sandbox,
                  "--socket-path", socket(), "--events", events, "--ctl", ctl()},
                 log_,
                 {"NOTIFY_SOCKET=" + notify}});
  const auto limit = Clock::now() + kStartLimit;
  if (!ready.ready_before(limit, *child_)) {
    const auto status = child_->wait_until(Clock::now());
    errno = !status ? ETIMEDOUT : *status == kNotThere ? ENOENT : ECHILD;
    fail(program_.path + " does not start (see " + log_ + ")");
  }
  events_ = std::make_unique<EventStream>(events);
}

void Sidecar::kill() {
  child_->signal(SIGKILL);
  child_->wait_until(Clock::now() + kStartLimit);
  earlier_lines_ = lines();
  events_.reset();
}

void Sidecar::suspend() { child_->signal_family(SIGSTOP); }
void Sidecar::resume() { child_->signal_family(SIGCONT); }

std::vector<std::string> Sidecar::lines() const {
  std::vector<std::string> all = earlier_lines_;
  if (events_) all.insert(all.end(), events_->lines().begin(), events_->lines().end());
  return all;
}

}  // namespace memfail::scenarios
