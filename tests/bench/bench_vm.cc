// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/bench_vm.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

#include "shm/reply_wait.h"
#include "tests/bench/failure.h"
#include "vmm_shim/handle.h"

namespace memfail::bench {
namespace {

constexpr std::uint64_t kRetireLimitNs = 5'000'000'000;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPoisonedGpa = 0x5000;
constexpr timespec kLook{0, 10'000};

// The handler's thread is ours, and so is the one lane in use.
memfail_lane* handler_lane = nullptr;

void on_sigbus(int /*signal*/, siginfo_t* info, void* context) {
  if (memfail_sigbus(handler_lane, info, context) != MEMFAIL_SIGBUS_TAKEN) ::abort();
}

void install_handler() {
  struct sigaction action{};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  must(::sigaction(SIGBUS, &action, nullptr), "sigaction");
}

// One vCPU and its own reports only: nothing is ever posted.
int never_post(void* /*opaque*/, std::uint32_t /*vcpu*/, void (* /*fn*/)(void*),
               void* /*argument*/) {
  return -ESRCH;
}

void on_abort(void* /*opaque*/, const memfail_incident* /*incident*/) { ::abort(); }

}  // namespace

shm::Mapping make_ram(std::size_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) fail("no memory for a guest");
  return {at, size};
}

BenchVm::BenchVm(const SidecarProcess& sidecar, const shm::Mapping& ram, const VcpuPart& vcpu,
                 const std::string& name)
    : sidecar_(sidecar), ram_(ram) {
  create(vcpu, name);
  add_ram();
  memfail_vcpu part{sizeof part, 0, vcpu.fd, vcpu.run};
  memfail_error error{};
  if (memfail_vcpu_add(shim_.get(), &part, &lane_, &error) != 0) fail(error.text);
  attach();
  install_handler();
}

void BenchVm::create(const VcpuPart& vcpu, const std::string& name) {
  const std::string path = sidecar_.socket_path();
  memfail_config config{};
  config.struct_size = sizeof config;
  config.socket_path = path.c_str();
  config.socket_fd = -1;
  config.vm_name = name.c_str();
  config.vendor = MEMFAIL_VENDOR_INTEL;
  config.cpuid_1_eax = 0x000306C3;  // family 6: broadcasts, to nobody here
  config.mcg_cap_configured = vcpu.mcg_cap_configured;
  config.mcg_cap_kvm = vcpu.mcg_cap_kvm;
  config.vcpus = 1;
  config.deadline_ms = shim::kMaxDeadlineMs;
  config.ops.struct_size = sizeof config.ops;
  config.ops.post = never_post;
  config.ops.abort = on_abort;
  memfail_shim* made = nullptr;
  memfail_error error{};
  if (memfail_shim_create(&config, &made, &error) != 0) fail(error.text);
  shim_.reset(made);
}

void BenchVm::add_ram() {
  memfail_region region{};
  region.struct_size = sizeof region;
  region.size = ram_.size();
  region.hva = reinterpret_cast<std::uintptr_t>(ram_.data());
  region.page_size = kPage;
  region.name = "ram";
  memfail_error error{};
  memfail_regions_begin(shim_.get());
  if (memfail_regions_add(shim_.get(), &region, &error) != 0 ||
      memfail_regions_commit(shim_.get(), &error) != 0) {
    fail(error.text);
  }
}

void BenchVm::attach() {
  memfail_error error{};
  if (memfail_shim_attach(shim_.get(), 0, &error) != 0) give_up(error.text);
}

void BenchVm::give_up(const std::string& what) {
  memfail_shim_dispatch(shim_.get());
  memfail_status status{};
  status.struct_size = sizeof status;
  memfail_shim_state(shim_.get(), &status);
  fail(what + "; shim: " + status.last_error + "; sidecar: " + sidecar_.last_line());
}

shm::Claim BenchVm::raise_sigbus() {
  siginfo_t info{};
  info.si_signo = SIGBUS;
  info.si_code = BUS_MCEERR_AR;
  info.si_addr = ram_.data() + kPoisonedGpa;
  info.si_addr_lsb = 12;
  handler_lane = lane_;
  memfail_run_begin(lane_);
  const long sent = ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), SIGBUS, &info);
  if (memfail_run_end(lane_) != 1) fail("no SIGBUS came: " + std::to_string(sent));
  const auto cell = shim_->geometry.cell_of(0, ++sequence_);
  return {{0, cell}, sequence_};
}

wire::ReportLine BenchVm::report(const shm::Claim& claim) const {
  wire::ReportLine line;
  if (!shim::own_report(*shim_, claim, line)) fail("the report is not in its cell");
  return line;
}

void BenchVm::await_retired(const shm::Claim& claim) {
  const std::uint64_t until = shm::monotonic_ns() + kRetireLimitNs;
  const auto is_over = [&] {
    return shim_->reply.retired(claim.id) == claim.n &&
           std::atomic_ref<std::uint32_t>(*shim_->reply.sleeping()).load() != 0;
  };
  while (!is_over()) {
    if (!shim_->session_is_up()) give_up("the session ended");
    if (shm::monotonic_ns() > until) give_up("a cell is not retired");
    ::nanosleep(&kLook, nullptr);
  }
}

}  // namespace memfail::bench
