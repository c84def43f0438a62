// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kvm/rig.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "vmm_shim/reference/cpu_model.h"
#include "vmm_shim/reference/exit.h"

namespace memfail::test {
namespace {

using reference::must;

constexpr unsigned kPatienceSeconds = 60;

reference::Memory memory(std::size_t size) {
  auto made = reference::Memory::make(reference::RamKind::kAnonymous, size);
  if (!made) reference::die(made.error());
  return std::move(*made);
}

const reference::CpuModel& intel() {
  static const reference::CpuModel model{reference::Vendor::kIntel, 0x306F2, 0};
  return model;
}

Rig& rig_of(void* opaque) { return *static_cast<Rig*>(opaque); }

}  // namespace

void KvmTest::SetUp() {
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) GTEST_SKIP() << "/dev/kvm: " << std::strerror(errno) << ": NOTHING WAS TESTED";
  ::close(fd);
  install_handler();
  ::alarm(kPatienceSeconds);  // a guest that does not do what it should ends the test
}

void KvmTest::TearDown() {
  ::alarm(0);
  ::signal(SIGBUS, SIG_DFL);
}

Rig::Rig(std::uint32_t vcpus, const Adjust& adjust)
    : low_(memory(GUEST_LOW_SIZE)),
      test_(memory(GUEST_TEST_SIZE)),
      machine_(low_, test_),
      view_(vcpus) {
  std::memcpy(low_.data() + GUEST_CODE, guest_begin,
              static_cast<std::size_t>(guest_end - guest_begin));
  const auto handler = static_cast<std::uint32_t>(
      GUEST_CODE + (guest_machine_check - guest_begin));  // CS 0 : offset
  std::memcpy(low_.data() + 4UL * VECTOR_MACHINE_CHECK, &handler, sizeof handler);
  vcpus_.resize(vcpus);
  for (std::uint32_t i = 0; i < vcpus; ++i) add_vcpu(i);
  make_shim(adjust);
}

Rig::~Rig() {
  own_lane = nullptr;
  memfail_shim_destroy(shim_);
}

void Rig::add_vcpu(std::uint32_t index) {
  Vcpu& vcpu = vcpus_[index];
  vcpu.fd = machine_.create_vcpu(index);
  vcpu.run = machine_.map_run(vcpu.fd.get());
  mcg_cap_ = reference::setup_features(machine_, vcpu.fd.get(), intel(), reference::kMcgCap);
  reference::reset_registers(machine_, vcpu.fd.get(), {.index = index});
}

void Rig::add_region(std::uint32_t slot, std::uint64_t gpa, const reference::Memory& memory) {
  memfail_region made = region(slot, gpa, memory.size(), memory.hva());
  memfail_error error{};
  if (memfail_regions_add(shim_, &made, &error) != 0) reference::die(error.text);
}

void Rig::make_shim(const Adjust& adjust) {
  memfail_config config{};
  config.struct_size = sizeof config;
  config.socket_path = path_.c_str();
  config.socket_fd = -1;
  config.vendor = MEMFAIL_VENDOR_INTEL;
  config.cpuid_1_eax = intel().cpuid_1_eax;
  config.mcg_cap_configured = reference::kMcgCap;
  config.mcg_cap_kvm = mcg_cap_;
  config.vcpus = static_cast<std::uint32_t>(vcpus_.size());
  config.deadline_ms = 500;
  config.opaque = this;
  config.ops.struct_size = sizeof config.ops;
  config.ops.post = [](void* self, std::uint32_t vcpu, void (*function)(void*), void* argument) {
    rig_of(self).posted_.push_back({vcpu, function, argument});
    return 0;
  };
  config.ops.abort = [](void* /*self*/, const memfail_incident* /*incident*/) {
    ADD_FAILURE() << "ops.abort";
  };
  config.ops.incident = [](void* self, const memfail_incident* incident) {
    rig_of(self).incidents_.push_back(*incident);
  };
  if (adjust) adjust(config);
  memfail_error error{};
  if (memfail_shim_create(&config, &shim_, &error) != 0) reference::die(error.text);
  for (std::uint32_t i = 0; i < vcpus_.size(); ++i) {
    const memfail_vcpu vcpu{sizeof vcpu, i, vcpus_[i].fd.get(), vcpus_[i].run};
    if (memfail_vcpu_add(shim_, &vcpu, &vcpus_[i].lane, &error) != 0) reference::die(error.text);
  }
  memfail_regions_begin(shim_);
  add_region(0, 0, low_);
  add_region(1, GUEST_TEST_REGION, test_);
  if (memfail_regions_commit(shim_, &error) != 0) reference::die(error.text);
}

FakeSidecar& Rig::attach(std::uint64_t features) {
  sidecar_.agree_on(features);
  if (!sidecar_.attach(shim_)) reference::die("the fake sidecar could not attach");
  return sidecar_;
}

std::uint64_t Rig::msr(std::uint32_t index, std::uint32_t vcpu) const {
  reference::MsrList<1> list;
  list.entries[0].index = index;
  if (::ioctl(fd(vcpu), reference::kGetMsrs, &list) != 1) reference::die("KVM_GET_MSRS");
  return list.entries[0].data;
}

void Rig::set_msr(std::uint32_t index, std::uint64_t value, std::uint32_t vcpu) const {
  reference::MsrList<1> list;
  list.entries[0] = {index, 0, value};
  if (::ioctl(fd(vcpu), reference::kSetMsrs, &list) != 1) reference::die("KVM_SET_MSRS");
}

bool Rig::enter_smm(std::uint32_t vcpu) const {
  kvm_vcpu_events events{};
  if (::ioctl(fd(vcpu), KVM_GET_VCPU_EVENTS, &events) != 0) return false;
  events.flags |= KVM_VCPUEVENT_VALID_SMM;
  events.smi.smm = 1;
  return ::ioctl(fd(vcpu), KVM_SET_VCPU_EVENTS, &events) == 0;
}

void Rig::set_started(bool started, std::uint32_t vcpu) const {
  kvm_mp_state state{};
  state.mp_state = started ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
  must(::ioctl(fd(vcpu), KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE");
}

int Rig::queued(std::uint32_t vcpu) const {
  kvm_vcpu_events events{};
  must(::ioctl(fd(vcpu), KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
  const bool any = events.exception.injected != 0 || events.exception.pending != 0;
  return any ? events.exception.nr : -1;
}

void Rig::set_cr4_mce(bool on, std::uint32_t vcpu) const {
  kvm_sregs sregs{};
  must(::ioctl(fd(vcpu), KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
  sregs.cr4 = on ? sregs.cr4 | reference::kCr4Mce : sregs.cr4 & ~reference::kCr4Mce;
  must(::ioctl(fd(vcpu), KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

void Rig::recover(std::uint32_t vcpu) const {
  kvm_vcpu_events events{};
  must(::ioctl(fd(vcpu), KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
  events.exception = {};
  must(::ioctl(fd(vcpu), KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
  set_msr(reference::kMsrMcgStatus, 0, vcpu);
  for (std::uint32_t bank = 0; bank < 10; ++bank) {
    set_msr(reference::kMsrMc0Ctl + 4 * bank + 1, 0, vcpu);
  }
}

void Rig::raise(int code, std::uint64_t page, std::uint32_t vcpu) {
  own_lane = lane(vcpu);
  memfail_run_begin(lane(vcpu));
  raise_sigbus(code, hva(page));
  EXPECT_EQ(memfail_run_end(lane(vcpu)), 1);
}

// An `out` is complete only when KVM_RUN is entered again.
void Rig::leave_instruction(Vcpu& vcpu) const {
  vcpu.run->immediate_exit = 1;
  const int result = ::ioctl(vcpu.fd.get(), KVM_RUN, 0);
  EXPECT_TRUE(result < 0 && errno == EINTR);
  vcpu.run->immediate_exit = 0;
}

bool Rig::run_until(std::uint16_t port, std::uint32_t index) {
  Vcpu& vcpu = vcpus_[index];
  own_lane = vcpu.lane;
  for (int exits = 0; exits < 100'000; ++exits) {
    memfail_run_begin(vcpu.lane);
    const int result = ::ioctl(vcpu.fd.get(), KVM_RUN, 0);
    EXPECT_EQ(memfail_run_end(vcpu.lane), 0);
    if (result < 0) reference::die(std::string("KVM_RUN: ") + std::strerror(errno));
    if (vcpu.run->exit_reason != KVM_EXIT_IO) return false;
    std::uint32_t value = 0;
    std::memcpy(&value, reinterpret_cast<const char*>(vcpu.run) + vcpu.run->io.data_offset,
                sizeof value);
    view_.on_out(index, vcpu.run->io.port, value);
    if (vcpu.run->io.port != port) continue;
    leave_instruction(vcpu);
    return true;
  }
  return false;
}

std::vector<Posted> Rig::take_posted(std::uint32_t vcpu) {
  std::vector<Posted> mine;
  std::erase_if(posted_, [&](const Posted& task) {
    if (task.vcpu == vcpu) mine.push_back(task);
    return task.vcpu == vcpu;
  });
  return mine;
}

std::size_t Rig::run_posted(std::uint32_t vcpu) {
  const auto mine = take_posted(vcpu);
  for (const Posted& task : mine) task.function(task.argument);
  return mine.size();
}

}  // namespace memfail::test
