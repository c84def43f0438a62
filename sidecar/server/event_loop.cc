// SPDX-License-Identifier: BSD-3-Clause
//
// libuv up to 1.45, and later: syscall(loop): epoll_wait epoll_pwait
// syscall(loop): read write
#include "sidecar/server/event_loop.h"

#include <uv.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include "shm/reply_wait.h"
#include "sidecar/server/log.h"
#include "sidecar/server/server.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kDiskCheckMs = 1000;

class Loop final : private PollTarget {
 public:
  explicit Loop(Server& server) : server_(server) {}

  int start();
  void run();

 private:
  static Loop& of(void* data) { return *static_cast<Loop*>(data); }

  void on_ready(std::uint32_t) override { uv_run(&loop_, UV_RUN_NOWAIT); }
  void on_signal(int number);
  void expire();
  void check_disk();
  int due_in();

  Server& server_;
  uv_loop_t loop_{};
  uv_timer_t peers_{};  // runs while a connection owes its hello, or said too much
  uv_timer_t disk_{};   // runs while events wait for the disk
  std::array<uv_signal_t, 2> signals_{};
  bool ending_ = false;
};

void Loop::on_signal(int number) {
  log_line(std::string(number == SIGTERM ? "SIGTERM" : "SIGINT") + ": ending");
  ending_ = true;
}

void Loop::expire() {
  const auto next = server_.expire(shm::monotonic_ns() / kNsPerMs);
  if (!next) return;
  uv_update_time(&loop_);
  // One that runs is set anew: what began to wait last may be due first.
  uv_timer_start(&peers_, [](uv_timer_t* timer) { of(timer->data).expire(); }, *next + 1, 0);
}

void Loop::check_disk() {
  if (!server_.awaits_disk() || uv_is_active(reinterpret_cast<uv_handle_t*>(&disk_)) != 0) return;
  const auto check = [](uv_timer_t* timer) {
    of(timer->data).server_.check_disk();
    of(timer->data).check_disk();
  };
  uv_update_time(&loop_);
  uv_timer_start(&disk_, check, kDiskCheckMs, 0);
}

int Loop::start() {
  if (const int error = uv_loop_init(&loop_)) return error;
  peers_.data = this;
  uv_timer_init(&loop_, &peers_);
  disk_.data = this;
  uv_timer_init(&loop_, &disk_);
  constexpr std::array kNumbers{SIGTERM, SIGINT};
  for (std::size_t i = 0; i < kNumbers.size(); ++i) {
    signals_[i].data = this;
    uv_signal_init(&loop_, &signals_[i]);
    const auto call = [](uv_signal_t* handle, int number) { of(handle->data).on_signal(number); };
    if (const int error = uv_signal_start(&signals_[i], call, kNumbers[i])) return error;
  }
  if (!server_.poll_set().add(uv_backend_fd(&loop_), EPOLLIN, *this)) return -errno;
  uv_run(&loop_, UV_RUN_NOWAIT);  // puts libuv's own descriptors into its set
  return 0;
}

// Milliseconds until a timer is due; -1: none runs.
int Loop::due_in() {
  bool any = false;
  for (const uv_timer_t* timer : {&peers_, &disk_}) {
    any = any || uv_is_active(reinterpret_cast<const uv_handle_t*>(timer)) != 0;
  }
  if (!any) return -1;
  uv_update_time(&loop_);
  return uv_backend_timeout(&loop_);
}

void Loop::run() {
  bool more = true;  // with --fd the first message may be there already
  while (!ending_ && !server_.finished()) {
    more = server_.turn(more ? 0 : due_in());
    if (server_.has_begun_to_wait()) expire();
    check_disk();
    if (due_in() == 0) uv_run(&loop_, UV_RUN_NOWAIT);
  }
}

}  // namespace

int run_loop(Server& server, const std::function<bool()>& made) {
  // For good: to take it apart libuv would change signal handlers, and the process ends.
  static Loop* const loop = std::make_unique<Loop>(server).release();
  if (const int error = loop->start()) return error;
  if (!made()) return UV_ECANCELED;
  loop->run();
  return 0;
}

}  // namespace memfail::server
