// SPDX-License-Identifier: BSD-3-Clause
//
// What the guest itself says it saw, put together from its `out`s.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace memfail::reference {

// One bank the guest found valid.
struct BankSeen {
  unsigned vcpu = 0;
  std::uint64_t mcg_status = 0;
  std::uint32_t bank = 0;
  std::uint64_t status = 0;
  std::uint64_t addr = 0;
  std::uint64_t misc = 0;
  std::uint32_t saved_ip = 0;  // 0: found by a scan, not by a #MC
  bool recovered = false;      // the handler left the broken access behind
};

// How often each thing was reported.
struct GuestCounts {
  unsigned ready = 0;
  unsigned done = 0;
  unsigned in_handler = 0;
  unsigned recovered = 0;
  unsigned stopped = 0;
  unsigned banks = 0;
};

class GuestView {
 public:
  explicit GuestView(unsigned vcpus) : vcpus_(vcpus) {}

  void on_out(unsigned vcpu, std::uint16_t port, std::uint32_t value);

  GuestCounts counts(unsigned vcpu) const;
  // What its last command left in eax: the value, of a load.
  std::uint32_t last_value(unsigned vcpu) const;
  std::vector<BankSeen> banks() const;

 private:
  struct PerVcpu {
    GuestCounts counts;
    BankSeen building;
    std::uint32_t last_value = 0;
  };

  void count(PerVcpu& vcpu, std::uint16_t port);
  void build(BankSeen& bank, std::uint16_t port, std::uint32_t value);
  void mark_recovered(unsigned vcpu);

  mutable std::mutex mutex_;
  std::vector<PerVcpu> vcpus_;
  std::vector<BankSeen> banks_;
};

}  // namespace memfail::reference
