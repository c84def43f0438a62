// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/event_loop.h"

#include <uv.h>

#include <array>
#include <csignal>
#include <string>

#include "shm/reply_wait.h"
#include "sidecar/server/log.h"
#include "sidecar/server/server.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

// All handles live on the stack of run_loop(), as long as the loop.
struct Loop {
  Server& server;
  uv_loop_t loop{};
  uv_poll_t poll{};
  uv_idle_t more{};    // runs while sessions have work: keeps the loop from sleeping
  uv_timer_t hello{};  // runs while a connection owes its hello
  std::array<uv_signal_t, 2> signals{};

  explicit Loop(Server& s) : server(s) {}

  int start();
  void turn();
  void stop();
};

Loop& of(void* data) { return *static_cast<Loop*>(data); }

void on_signal(uv_signal_t* handle, int number) {
  log_line(std::string(number == SIGTERM ? "SIGTERM" : "SIGINT") + ": ending");
  of(handle->data).stop();
}

void expire_hellos(Loop& loop) {
  const auto next = loop.server.expire(shm::monotonic_ns() / kNsPerMs);
  if (next && !uv_is_active(reinterpret_cast<uv_handle_t*>(&loop.hello))) {
    uv_update_time(&loop.loop);
    uv_timer_start(
        &loop.hello, [](uv_timer_t* timer) { expire_hellos(of(timer->data)); }, *next + 1, 0);
  }
}

void Loop::turn() {
  if (server.turn()) {
    uv_idle_start(&more, [](uv_idle_t* handle) { of(handle->data).turn(); });
  } else {
    uv_idle_stop(&more);
  }
  if (server.accepted_any()) expire_hellos(*this);
  if (server.finished()) stop();
}

int Loop::start() {
  if (const int error = uv_loop_init(&loop)) return error;
  poll.data = more.data = hello.data = this;
  uv_idle_init(&loop, &more);
  uv_timer_init(&loop, &hello);
  if (const int error = uv_poll_init(&loop, &poll, server.poll_set().fd())) return error;
  uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* handle, int, int) { of(handle->data).turn(); });
  constexpr std::array kNumbers{SIGTERM, SIGINT};
  for (std::size_t i = 0; i < kNumbers.size(); ++i) {
    signals[i].data = this;
    uv_signal_init(&loop, &signals[i]);
    if (const int error = uv_signal_start(&signals[i], on_signal, kNumbers[i])) return error;
  }
  return 0;
}

void Loop::stop() { uv_stop(&loop); }

}  // namespace

int run_loop(Server& server) {
  Loop loop(server);
  if (const int error = loop.start()) return error;
  loop.turn();  // with --fd the first message may be there already
  if (!server.finished()) uv_run(&loop.loop, UV_RUN_DEFAULT);
  uv_walk(&loop.loop, [](uv_handle_t* handle, void*) { uv_close(handle, nullptr); }, nullptr);
  uv_run(&loop.loop, UV_RUN_DEFAULT);
  return uv_loop_close(&loop.loop);
}

}  // namespace memfail::server
