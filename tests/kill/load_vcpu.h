// SPDX-License-Identifier: BSD-3-Clause
//
// One vCPU of the load VM, and its thread: pages of the guest's RAM break under it, one
// after the other, as the kernel would say it, and the guest is ready for the next
// machine check at once.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "memfail/shim.h"
#include "shm/mapping.h"
#include "tests/kill/load_log.h"
#include "tests/kill/soft_vcpu.h"

namespace memfail::kill {

// The RAM whose pages break: each vCPU has its own, none twice within the window in
// which more of the same would be one event with a count.
inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kPagesPerLane = 1024;
inline constexpr std::uint64_t kLoadGpa = 0x1000'0000;
inline constexpr std::uint64_t kLoadSize = kLanes * kPagesPerLane * kPage;

class LoadVcpu {
 public:
  LoadVcpu(std::uint32_t index, LoadLog& log, const Pace& pace);

  void join(memfail_shim* shim, std::uint64_t load_hva);

  // Does not return.
  [[noreturn]] void run();

  // The shim's operations, on this vCPU's thread.
  int set_machine_check(const memfail_mce& mce);
  void note_outcome(const memfail_incident& incident);

 private:
  [[nodiscard]] bool has_free_cell() const;
  [[nodiscard]] bool is_all_retired() const;
  [[nodiscard]] std::uint64_t next_sequence() const;
  void park();
  void break_next_page();
  void raise(std::uint64_t hva) const;
  void nap_until(std::uint64_t when_ns) const;

  LoadLog& log_;
  std::uint32_t index_;
  Pace pace_;
  SoftVcpu vcpu_;
  shm::Mapping run_;  // a kvm_run
  memfail_shim* shim_ = nullptr;
  memfail_lane* lane_ = nullptr;
  std::uint64_t load_hva_ = 0;
  Entry* entry_ = nullptr;  // of the incident under way
  std::uint64_t pages_ = 0;
  std::vector<std::uint64_t> free_again_ns_;  // by page
  std::minstd_rand random_;
};

// What SIGBUS handlers report through.
void install_sigbus_handler();

[[noreturn]] void die(const std::string& what);

// Written to the log once: the test fails with it.
void say_wrong(LoadLog& log, const char* format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace memfail::kill
