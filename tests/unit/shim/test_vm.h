// SPDX-License-Identifier: BSD-3-Clause
//
// The VMM of the shim's tests: it has operations that note what they were asked, some
// RAM, and vCPUs whose descriptor answers no ioctl (tests/kvm has real ones).
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "memfail/shim.h"
#include "shm/mapping.h"
#include "shm/unique_fd.h"

namespace memfail::test {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kRamPages = 64;
inline constexpr std::uint64_t kRamGpa = 0x10'0000;
inline constexpr int kRequired = 4;  // BUS_MCEERR_AR
inline constexpr int kOptional = 5;  // BUS_MCEERR_AO

// What SIGBUS handlers report through; its last answer.
extern thread_local memfail_lane* own_lane;
extern thread_local int last_result;

// The VMM's handler: memfail_sigbus() on `own_lane`. More flags of sigaction besides
// SA_SIGINFO: SA_ONSTACK, SA_NODEFER.
void install_handler(int flags = 0);

// Has the kernel send this thread SIGBUS with exactly this siginfo.
void raise_sigbus(int code, std::uint64_t address, short lsb = 12);

// Dispatches whenever the shim says that it has something to do, until `condition`
// holds; false after 5 s without anything.
bool dispatch_until(memfail_shim* shim, const std::function<bool()>& condition);

// A folder for one test's sockets, removed at its end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Posted {
  std::uint32_t vcpu;
  void (*function)(void*);
  void* argument;
};

class TestVm {
 public:
  using Adjust = std::function<void(memfail_config&)>;
  explicit TestVm(const Adjust& adjust = {}, std::uint32_t vcpus = 1);
  ~TestVm();
  TestVm(const TestVm&) = delete;
  TestVm& operator=(const TestVm&) = delete;

  [[nodiscard]] memfail_shim* shim() const { return shim_; }
  [[nodiscard]] memfail_lane* lane(std::uint32_t vcpu = 0) const { return lanes_[vcpu]; }
  [[nodiscard]] kvm_run* run(std::uint32_t vcpu = 0) const;
  [[nodiscard]] bool immediate_exit(std::uint32_t vcpu = 0) const;
  // Host and guest address of a page of RAM.
  [[nodiscard]] std::uint64_t hva(std::uint64_t page = 0) const;
  [[nodiscard]] static std::uint64_t gpa(std::uint64_t page = 0) { return kRamGpa + page * kPage; }
  [[nodiscard]] memfail_status status() const;

  // SIGBUS on this thread inside vCPU 0's KVM_RUN bracket; memfail_run_end()'s answer.
  int raise_in_run(int code, std::uint64_t address, std::uint32_t vcpu = 0);
  // Takes the RAM's region away and gives it back at the same place.
  void change_regions();
  // Runs and forgets what was posted to `vcpu`; how much it was.
  std::size_t run_posted(std::uint32_t vcpu);
  [[nodiscard]] std::size_t posted() const;

  // What the operations were told.
  [[nodiscard]] std::vector<memfail_incident> incidents() const;
  [[nodiscard]] std::vector<memfail_mce> machine_checks() const;
  [[nodiscard]] std::vector<std::uint64_t> poisoned() const;
  [[nodiscard]] int aborts() const { return aborts_.load(); }
  std::function<void()> on_abort;    // called inside ops.abort
  std::function<void()> on_set_mce;  // called inside ops.set_mce
  std::function<void()> on_post;     // called inside ops.post, after it
  int post_answer = 0;
  int set_mce_answer = 0;

  memfail_config config{};

 private:
  static int post(void* self, std::uint32_t vcpu, void (*function)(void*), void* argument);
  static void abort(void* self, const memfail_incident* incident);
  static void note_poisoned(void* self, std::uint64_t hva, std::uint64_t gpa, std::uint64_t size);
  static void note_incident(void* self, const memfail_incident* incident);
  static int set_mce(void* self, std::uint32_t vcpu, const memfail_mce* mce);
  void add_ram();

  shm::Mapping ram_;
  shm::Mapping runs_;
  shm::UniqueFd no_vcpu_;
  memfail_shim* shim_ = nullptr;
  std::vector<memfail_lane*> lanes_;
  mutable std::mutex mutex_;
  std::vector<memfail_incident> incidents_;
  std::vector<memfail_mce> machine_checks_;
  std::vector<std::uint64_t> poisoned_;
  std::vector<Posted> posted_;
  std::atomic<int> aborts_{0};
};

memfail_region region(std::uint32_t slot, std::uint64_t gpa, std::uint64_t size, std::uint64_t hva);

}  // namespace memfail::test
