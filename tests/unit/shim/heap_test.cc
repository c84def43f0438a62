// SPDX-License-Identifier: BSD-3-Clause
//
// After memfail_shim_create() the library allocates nothing: a whole attach, region
// changes, incidents and a re-attach go by without a call to the heap from this
// thread (the peer is a process of its own, the counter is malloc itself).
#include <gtest/gtest.h>
#include <malloc.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/shim/fake_sidecar.h"

namespace {

thread_local bool counting = false;
thread_local unsigned calls = 0;

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// glibc's own allocator behind a counter.
extern "C" void* __libc_malloc(std::size_t size);                // NOLINT
extern "C" void* __libc_calloc(std::size_t count, std::size_t);  // NOLINT
extern "C" void* __libc_realloc(void* old, std::size_t size);    // NOLINT
extern "C" void* malloc(std::size_t size) {
  calls += counting ? 1 : 0;
  return __libc_malloc(size);
}
extern "C" void* calloc(std::size_t count, std::size_t size) {
  calls += counting ? 1 : 0;
  return __libc_calloc(count, size);
}
extern "C" void* realloc(void* old, std::size_t size) {
  calls += counting ? 1 : 0;
  return __libc_realloc(old, size);
}
constexpr bool kCanCount = true;
#else
constexpr bool kCanCount = false;
#endif

namespace memfail::test {
namespace {

TEST(Heap, TheCounterCounts) {
  if (!kCanCount) GTEST_SKIP() << "a sanitizer owns malloc here";
  counting = true;
  ::free(::malloc(17));
  counting = false;
  EXPECT_GE(calls, 1U);
  calls = 0;
}

// The peer's whole life: two sessions, one after the other.
int serve_two_sessions(FakeSidecar& sidecar) {
  for (int session = 0; session < 2; ++session) {
    if (!sidecar.accept() || !sidecar.take_hello()) return 1;
    sidecar.make_reply_area();
    sidecar.send_welcome();
    if (!sidecar.take_until_commit()) return 2;
    sidecar.send_ack(sidecar.commit_id());
    if (!sidecar.take_until_commit()) return 3;  // the region change
    sidecar.send_ack(sidecar.commit_id());
    sidecar.hang_up();
  }
  return 0;
}

bool dispatch_until(const TestVm& vm, std::uint64_t attaches, memfail_session_state state) {
  for (int turn = 0; turn < 1000; ++turn) {
    memfail_shim_dispatch(vm.shim());
    memfail_status status{};
    status.struct_size = sizeof status;
    memfail_shim_state(vm.shim(), &status);
    if (status.attaches >= attaches && status.state == state) return true;
    pollfd wait{memfail_shim_fd(vm.shim()), POLLIN, 0};
    ::poll(&wait, 1, 100);
  }
  return false;
}

TEST(Heap, IsNotUsedAfterCreate) {
  if (!kCanCount) GTEST_SKIP() << "a sanitizer owns malloc here";
  const TempDir dir;
  const std::string path = dir.file("s");
  FakeSidecar sidecar(path);
  const pid_t peer = ::fork();
  if (peer == 0) ::_exit(serve_two_sessions(sidecar));
  install_handler();
  TestVm vm([&](memfail_config& config) {
    config.socket_path = path.c_str();
    config.deadline_ms = 1;
    config.ops.incident = nullptr;  // the test's own vectors
    config.ops.poisoned = nullptr;
    config.ops.set_mce = nullptr;
  });
  counting = true;
  for (std::uint64_t session = 1; session <= 2; ++session) {
    ASSERT_TRUE(dispatch_until(vm, session, MEMFAIL_ATTACHED));
    ASSERT_EQ(vm.raise_in_run(kOptional, vm.hva(session)), 1);
    memfail_handle(vm.lane());
    vm.change_regions();
    ASSERT_TRUE(dispatch_until(vm, session, MEMFAIL_DETACHED));
  }
  counting = false;
  EXPECT_EQ(calls, 0U);
  int status = 0;
  ASSERT_EQ(::waitpid(peer, &status, 0), peer);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace memfail::test
