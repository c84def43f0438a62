// SPDX-License-Identifier: BSD-3-Clause
//
// load_vm SOCKET NAME [MOST_IDLE_US PAGE_REST_MS] (struct Pace): a VM whose memory breaks
// all the time. It has eight vCPUs
// and libmemfail-shim, attaches to memfaild again and again, and writes down in the
// shared memory on descriptor 3 what became of each failure (load_log.h). Commands
// come on its standard input, whose end ends it.
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "memfail/shim.h"
#include "tests/kill/load_log.h"
#include "tests/kill/load_vcpu.h"

namespace memfail::kill {
namespace {

// Never touched: that its pages are broken is what we say.
std::uint64_t load_memory() {
  void* at =
      ::mmap(nullptr, kLoadSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) die("no room for the load's RAM");
  return reinterpret_cast<std::uint64_t>(at);
}

LoadLog& open_log() {
  void* at =
      ::mmap(nullptr, sizeof(LoadLog), PROT_READ | PROT_WRITE, MAP_SHARED, kLogDescriptor, 0);
  if (at == MAP_FAILED) die("no log on descriptor 3");
  return *static_cast<LoadLog*>(at);
}

class LoadVm {
 public:
  LoadVm(std::string socket, std::string name, const Pace& pace)
      : socket_(std::move(socket)), name_(std::move(name)) {
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      vcpus_.push_back(std::make_unique<LoadVcpu>(i, log_, pace));
    }
    make_shim();
    for (const auto& vcpu : vcpus_) vcpu->join(shim_, load_hva_);
    add_region();
  }

  // Until standard input ends.
  void run() {
    install_sigbus_handler();
    (void)memfail_shim_attach(shim_, 0, nullptr);  // dispatch goes on trying
    say_state();
    for (const auto& vcpu : vcpus_) std::thread([&vcpu] { vcpu->run(); }).detach();
    log_.ready.store(1);
    while (dispatch()) {
    }
  }

 private:
  static LoadVm& of(void* opaque) { return *static_cast<LoadVm*>(opaque); }

  void make_shim() {
    memfail_config config{};
    config.struct_size = sizeof config;
    config.socket_path = socket_.c_str();
    config.socket_fd = -1;
    config.vm_name = name_.c_str();
    config.vendor = MEMFAIL_VENDOR_INTEL;
    config.cpuid_1_eax = 0x306F2;
    config.mcg_cap_configured = SoftVcpu::kMcgCap;
    config.mcg_cap_kvm = SoftVcpu::kMcgCap;
    config.vcpus = kLanes;
    config.max_poisoned = kLanes * kPagesPerLane;
    config.deadline_ms = 500;  // a loaded machine: what counts here is who decides
    config.opaque = this;
    config.ops.struct_size = sizeof config.ops;
    // Nothing is ever posted: the policy has no broadcast, and all reports are vCPUs'.
    config.ops.post = [](void*, std::uint32_t, void (*)(void*), void*) { return -ESRCH; };
    config.ops.abort = [](void* self, const memfail_incident*) {
      say_wrong(of(self).log_, "ops.abort");
    };
    config.ops.incident = [](void* self, const memfail_incident* incident) {
      of(self).vcpus_[static_cast<std::size_t>(incident->vcpu)]->note_outcome(*incident);
    };
    config.ops.set_mce = [](void* self, std::uint32_t vcpu, const memfail_mce* mce) {
      return of(self).vcpus_[vcpu]->set_machine_check(*mce);
    };
    memfail_error error{};
    if (memfail_shim_create(&config, &shim_, &error) != 0) die(error.text);
  }

  void add_region() {
    memfail_region region{};
    region.struct_size = sizeof region;
    region.gpa = kLoadGpa;
    region.size = kLoadSize;
    region.hva = load_hva_;
    region.page_size = kPage;
    region.name = "load";
    memfail_error error{};
    memfail_regions_begin(shim_);
    if (memfail_regions_add(shim_, &region, &error) != 0 ||
        memfail_regions_commit(shim_, &error) != 0) {
      die(error.text);
    }
  }

  // One turn of the event loop; false: the test is gone.
  bool dispatch() {
    std::array<pollfd, 2> wait{{{memfail_shim_fd(shim_), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
    ::poll(wait.data(), wait.size(), -1);
    char command = 0;
    if (wait[1].revents != 0 && ::read(STDIN_FILENO, &command, 1) != 1) return false;
    if (command == kAttachNow) (void)memfail_shim_attach(shim_, 0, nullptr);
    memfail_shim_dispatch(shim_);
    say_state();
    if (command == kSayState) log_.asked.fetch_add(1);
    return true;
  }

  void say_state() {
    memfail_status status{};
    status.struct_size = sizeof status;
    memfail_shim_state(shim_, &status);
    log_.session_low.store(status.session_low);
    log_.session_high.store(status.session_high);
    log_.fallbacks.store(status.fallbacks);
    log_.lost_reports.store(status.lost_reports);
    log_.slices.store(status.slices);
    log_.state.store(status.state);
    log_.attaches.store(status.attaches);
  }

  std::string socket_;
  std::string name_;
  LoadLog& log_ = open_log();
  std::uint64_t load_hva_ = load_memory();
  std::vector<std::unique_ptr<LoadVcpu>> vcpus_;
  memfail_shim* shim_ = nullptr;
};

}  // namespace
}  // namespace memfail::kill

int main(int argc, char** argv) {
  memfail::kill::Pace pace;
  if (argc != 3 && argc != 5) {
    memfail::kill::die("usage: load_vm SOCKET NAME [MOST_IDLE_US PAGE_REST_MS]");
  }
  if (argc == 5) {
    pace.most_idle_us = std::strtoul(argv[3], nullptr, 10);
    pace.page_rest_ms = std::strtoul(argv[4], nullptr, 10);
  }
  memfail::kill::LoadVm(argv[1], argv[2], pace).run();
  ::_exit(0);  // its vCPUs' threads go with it
}
