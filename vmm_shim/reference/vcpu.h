// SPDX-License-Identifier: BSD-3-Clause
//
// One vCPU: its thread and the loop around KVM_RUN. This loop is the heart of an
// integration: who may do what, when, is said at each line.
#pragma once

#include <linux/kvm.h>
#include <memfail/shim.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "vmm_shim/reference/post_queue.h"
#include "vmm_shim/reference/unique_fd.h"

namespace memfail::reference {

// What a vCPU tells its VMM, from its own thread, holding no lock.
class VcpuHost {
 public:
  virtual ~VcpuHost() = default;
  virtual void on_out(unsigned vcpu, std::uint16_t port, std::uint32_t value) = 0;
  virtual void on_reset_wanted(unsigned vcpu) = 0;  // memfail said MEMFAIL_DO_RESET
  virtual void on_pause_wanted(unsigned vcpu) = 0;  // MEMFAIL_DO_PAUSE
  virtual void on_triple_fault(unsigned vcpu) = 0;
};

// Where scenarios reach into the loop to have things happen at exact moments. A
// VMM has none of these. Each is used once, on the vCPU's thread.
struct VcpuHooks {
  std::function<void()> in_run;         // right before KVM_RUN, inside the bracket
  std::function<int()> instead_of_run;  // stands in for KVM_RUN: 0 or errno
  std::function<void()> before_handle;  // a report is pending, not handled yet
  std::function<void()> after_post;     // the shim's function has run on this thread
  std::function<void()> in_handler;     // the guest's #MC handler has begun, MCIP set
};

class Vcpu {
 public:
  Vcpu(unsigned index, UniqueFd fd, kvm_run* run, VcpuHost& host);
  ~Vcpu();

  void set_lane(memfail_lane* lane) { lane_ = lane; }
  void start();
  // Has the thread end soon; join() waits for it. Stopping many: first all of the
  // one, then all of the other.
  void request_stop();
  void join();
  // Runs `function` on the vCPU's thread outside KVM_RUN; false when it has none.
  bool post(std::function<void()> function) { return posts_.post(std::move(function)); }

  unsigned index() const { return index_; }
  int fd() const { return fd_.get(); }
  kvm_run* run() const { return run_; }
  VcpuHooks& hooks() { return hooks_; }

 private:
  void thread_main();
  void step();
  int enter_guest();
  int run_guest();
  void finish_exit();
  void on_exit();
  void on_io();
  void on_mmio();
  void act_on(int wanted);
  void memory_fault();

  const unsigned index_;
  UniqueFd fd_;
  kvm_run* run_;
  VcpuHost& host_;
  memfail_lane* lane_ = nullptr;
  PostQueue posts_;
  VcpuHooks hooks_;
  bool report_pending_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace memfail::reference
