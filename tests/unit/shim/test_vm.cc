// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/shim/test_vm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace memfail::test {

thread_local memfail_lane* own_lane = nullptr;
thread_local int last_result = -1;

namespace {

void on_sigbus(int /*signal*/, siginfo_t* info, void* context) {
  last_result = memfail_sigbus(own_lane, info, context);
}

void must(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

shm::Mapping anonymous(std::size_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(at != MAP_FAILED, "mmap");
  return {at, size};
}

}  // namespace

void install_handler(int flags) {
  struct sigaction action = {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | flags;
  must(::sigaction(SIGBUS, &action, nullptr) == 0, "sigaction");
}

void raise_sigbus(int code, std::uint64_t address, short lsb) {
  siginfo_t info{};
  info.si_signo = SIGBUS;
  info.si_code = code;
  info.si_addr = reinterpret_cast<void*>(address);
  info.si_addr_lsb = lsb;
  const long sent =
      ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), SIGBUS, &info);
  must(sent == 0, "rt_tgsigqueueinfo");
}

bool dispatch_until(memfail_shim* shim, const std::function<bool()>& condition) {
  for (int turn = 0; turn < 1000; ++turn) {
    memfail_shim_dispatch(shim);
    if (condition()) return true;
    pollfd wait{memfail_shim_fd(shim), POLLIN, 0};
    if (::poll(&wait, 1, 5000) != 1) return false;
  }
  return false;
}

TempDir::TempDir() {
  std::string pattern = std::filesystem::temp_directory_path() / "memfail-test-XXXXXX";
  must(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

memfail_region region(std::uint32_t slot, std::uint64_t gpa, std::uint64_t size,
                      std::uint64_t hva) {
  memfail_region made{};
  made.struct_size = sizeof made;
  made.slot = slot;
  made.gpa = gpa;
  made.size = size;
  made.hva = hva;
  made.page_size = kPage;
  made.name = "ram";
  return made;
}

TestVm::TestVm(const Adjust& adjust, std::uint32_t vcpus)
    : ram_(anonymous(kRamPages * kPage)),
      runs_(anonymous(vcpus * kPage)),
      no_vcpu_(::open("/dev/null", O_RDWR | O_CLOEXEC)) {
  config.struct_size = sizeof config;
  config.socket_fd = -1;
  config.vm_name = "test";
  config.vendor = MEMFAIL_VENDOR_INTEL;
  config.cpuid_1_eax = 0x306F2;  // family 6, model 63: broadcasts
  config.mcg_cap_configured = config.mcg_cap_kvm = 0x100010A;
  config.vcpus = vcpus;
  config.deadline_ms = 500;  // a loaded machine: only what tests the deadline is quick
  config.ops.struct_size = sizeof config.ops;
  config.ops.post = post;
  config.ops.abort = abort;
  config.ops.poisoned = note_poisoned;
  config.ops.incident = note_incident;
  config.ops.set_mce = set_mce;
  config.opaque = this;
  if (adjust) adjust(config);
  memfail_error error{};
  if (memfail_shim_create(&config, &shim_, &error) != 0) {
    std::fprintf(stderr, "memfail_shim_create: %s\n", error.text);
    std::abort();
  }
  for (std::uint32_t i = 0; i < vcpus; ++i) {
    const memfail_vcpu vcpu{sizeof vcpu, i, no_vcpu_.get(), run(i)};
    memfail_lane* lane = nullptr;
    must(memfail_vcpu_add(shim_, &vcpu, &lane, &error) == 0, error.text);
    lanes_.push_back(lane);
  }
  memfail_regions_begin(shim_);
  add_ram();
  must(memfail_regions_commit(shim_, &error) == 0, error.text);
  own_lane = lanes_[0];
  last_result = -1;
}

TestVm::~TestVm() {
  own_lane = nullptr;
  memfail_shim_destroy(shim_);
}

void TestVm::add_ram() {
  const memfail_region ram = region(0, kRamGpa, kRamPages * kPage, hva());
  memfail_error error{};
  must(memfail_regions_add(shim_, &ram, &error) == 0, error.text);
}

kvm_run* TestVm::run(std::uint32_t vcpu) const {
  return reinterpret_cast<kvm_run*>(runs_.data() + vcpu * kPage);
}

bool TestVm::immediate_exit(std::uint32_t vcpu) const { return run(vcpu)->immediate_exit != 0; }

std::uint64_t TestVm::hva(std::uint64_t page) const {
  return reinterpret_cast<std::uint64_t>(ram_.data()) + page * kPage;
}

memfail_status TestVm::status() const {
  memfail_status status{};
  status.struct_size = sizeof status;
  memfail_shim_state(shim_, &status);
  return status;
}

int TestVm::raise_in_run(int code, std::uint64_t address, std::uint32_t vcpu) {
  own_lane = lanes_[vcpu];
  memfail_run_begin(lanes_[vcpu]);
  raise_sigbus(code, address);
  return memfail_run_end(lanes_[vcpu]);
}

void TestVm::change_regions() {
  memfail_error error{};
  memfail_regions_begin(shim_);
  must(memfail_regions_remove(shim_, 0, &error) == 0, error.text);
  add_ram();
  must(memfail_regions_commit(shim_, &error) == 0, error.text);
}

std::size_t TestVm::run_posted(std::uint32_t vcpu) {
  std::vector<Posted> mine;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(posted_, [&](const Posted& task) {
      if (task.vcpu == vcpu) mine.push_back(task);
      return task.vcpu == vcpu;
    });
  }
  for (const Posted& task : mine) task.function(task.argument);
  return mine.size();
}

std::size_t TestVm::posted() const {
  const std::lock_guard lock(mutex_);
  return posted_.size();
}

std::vector<memfail_incident> TestVm::incidents() const {
  const std::lock_guard lock(mutex_);
  return incidents_;
}

std::vector<memfail_mce> TestVm::machine_checks() const {
  const std::lock_guard lock(mutex_);
  return machine_checks_;
}

std::vector<std::uint64_t> TestVm::poisoned() const {
  const std::lock_guard lock(mutex_);
  return poisoned_;
}

int TestVm::post(void* self, std::uint32_t vcpu, void (*function)(void*), void* argument) {
  auto& vm = *static_cast<TestVm*>(self);
  if (vm.post_answer != 0) return vm.post_answer;
  {
    const std::lock_guard lock(vm.mutex_);
    vm.posted_.push_back({vcpu, function, argument});
  }
  if (const auto call = vm.on_post) call();
  return 0;
}

void TestVm::abort(void* self, const memfail_incident* /*incident*/) {
  auto& vm = *static_cast<TestVm*>(self);
  vm.aborts_.fetch_add(1);
  if (vm.on_abort) vm.on_abort();
}

void TestVm::note_poisoned(void* self, std::uint64_t hva, std::uint64_t /*gpa*/,
                           std::uint64_t /*size*/) {
  auto& vm = *static_cast<TestVm*>(self);
  const std::lock_guard lock(vm.mutex_);
  vm.poisoned_.push_back(hva);
}

void TestVm::note_incident(void* self, const memfail_incident* incident) {
  auto& vm = *static_cast<TestVm*>(self);
  const std::lock_guard lock(vm.mutex_);
  vm.incidents_.push_back(*incident);
}

int TestVm::set_mce(void* self, std::uint32_t /*vcpu*/, const memfail_mce* mce) {
  auto& vm = *static_cast<TestVm*>(self);
  if (vm.on_set_mce) vm.on_set_mce();
  const std::lock_guard lock(vm.mutex_);
  vm.machine_checks_.push_back(*mce);
  return vm.set_mce_answer;
}

}  // namespace memfail::test
