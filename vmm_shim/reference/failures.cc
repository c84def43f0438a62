// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/failures.h"

#include <algorithm>
#include <cerrno>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guard.h"

namespace memfail::reference {
namespace {

constexpr std::uint32_t kMaxRegions = 16;

FailureHost& host_of(void* opaque) { return *static_cast<FailureHost*>(opaque); }

int on_post(void* opaque, std::uint32_t vcpu, void (*function)(void*), void* argument) {
  return host_of(opaque).post(vcpu, [=] { function(argument); }) ? 0 : -ESRCH;
}

void on_abort(void* opaque, const memfail_incident* incident) { host_of(opaque).abort(incident); }

void on_poisoned(void* opaque, std::uint64_t, std::uint64_t gpa, std::uint64_t size) {
  host_of(opaque).on_poisoned(gpa, size);
}

void on_incident(void* opaque, const memfail_incident* incident) {
  host_of(opaque).on_incident(*incident);
}

int on_guarded(void*) { return is_guarded() ? 1 : 0; }

memfail_ops operations() {
  memfail_ops ops{};
  ops.struct_size = sizeof(ops);
  ops.post = on_post;
  ops.abort = on_abort;
  ops.poisoned = on_poisoned;
  ops.incident = on_incident;
  ops.guarded = on_guarded;
  return ops;  // set_mce stays NULL: we cache no registers
}

memfail_config shim_config(const FailureConfig& from, FailureHost& host) {
  memfail_config config{};
  config.struct_size = sizeof(config);
  config.socket_path = from.socket_path.c_str();
  config.socket_fd = -1;
  std::ranges::copy(from.uuid, config.vm_uuid);
  config.vm_name = from.name.c_str();
  config.vendor = from.cpu.vendor == Vendor::kAmd ? MEMFAIL_VENDOR_AMD : MEMFAIL_VENDOR_INTEL;
  config.cpuid_1_eax = from.cpu.cpuid_1_eax;
  config.cpuid_80000007_ebx = from.cpu.cpuid_80000007_ebx;
  config.mcg_cap_configured = from.mcg_cap_configured;
  config.mcg_cap_kvm = from.mcg_cap_kvm;
  config.vcpus = from.vcpus;
  config.max_regions = kMaxRegions;
  config.deadline_ms = from.deadline_ms;
  config.fallback = from.fallback;
  config.allow = from.allow;
  config.ops = operations();
  config.opaque = &host;
  return config;
}

void must_accept(int result, const memfail_error& error) {
  if (result < 0) die(error.text);
}

memfail_status status_of(const memfail_shim* shim) {
  memfail_status status{};
  status.struct_size = sizeof(status);
  memfail_shim_state(shim, &status);
  return status;
}

}  // namespace

Failures::Failures(const FailureConfig& from, FailureHost& host) {
  const memfail_config config = shim_config(from, host);
  memfail_error error{};
  memfail_shim* shim = nullptr;
  must_accept(memfail_shim_create(&config, &shim, &error), error);
  shim_.reset(shim);
}

void Failures::register_ram(std::initializer_list<RamRegion> regions) {
  memfail_error error{};
  memfail_regions_begin(shim_.get());
  for (const RamRegion& ram : regions) {
    memfail_region region{};
    region.struct_size = sizeof(region);
    region.slot = ram.slot;
    region.gpa = ram.gpa;
    region.size = ram.memory->size();
    region.hva = ram.memory->hva();
    region.page_size = ram.memory->page_size();
    region.name = ram.name;
    must_accept(memfail_regions_add(shim_.get(), &region, &error), error);
  }
  must_accept(memfail_regions_commit(shim_.get(), &error), error);
}

memfail_lane* Failures::register_vcpu(unsigned index, int vcpu_fd, kvm_run* run) {
  memfail_vcpu vcpu{};
  vcpu.struct_size = sizeof(vcpu);
  vcpu.index = index;
  vcpu.vcpu_fd = vcpu_fd;
  vcpu.run = run;
  memfail_error error{};
  memfail_lane* lane = nullptr;
  must_accept(memfail_vcpu_add(shim_.get(), &vcpu, &lane, &error), error);
  return lane;
}

std::string Failures::attach() {
  memfail_error error{};
  return memfail_shim_attach(shim_.get(), 0, &error) < 0 ? error.text : "";
}

std::vector<std::byte> Failures::export_broken_pages() const {
  std::vector<std::byte> blob(
      static_cast<std::size_t>(memfail_poison_export(shim_.get(), nullptr, 0)));
  if (memfail_poison_export(shim_.get(), blob.data(), blob.size()) < 0) die("poison export");
  return blob;
}

int Failures::import_broken_pages(std::span<const std::byte> blob, std::string& why) {
  memfail_error error{};
  const int pages = memfail_poison_import(shim_.get(), blob.data(), blob.size(), &error);
  if (pages < 0) why = error.text;
  return pages;
}

bool Failures::attached() const { return status_of(shim_.get()).state == MEMFAIL_ATTACHED; }

std::uint64_t Failures::broken_pages() const { return status_of(shim_.get()).poisoned; }

}  // namespace memfail::reference
