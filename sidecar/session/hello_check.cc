// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/hello_check.h"

#include "shm/descriptor.h"
#include "sidecar/session/wire_messages.h"

namespace memfail::session {
namespace {

using wire::ErrorCode;

constexpr std::size_t kMaxUuid = 63;
constexpr std::size_t kMaxVmName = 127;
constexpr std::uint32_t kMaxDeadlineMs = 500;

Refusal refuse_version(const wire::Hello& hello) {
  const bool too_new = hello.version_min() > kProtocolVersion;
  return {ErrorCode::version, too_new ? "hello.version_min" : "hello.version_max",
          too_new ? hello.version_min() : hello.version_max(), kProtocolVersion,
          "the VMM speaks protocol versions " + std::to_string(hello.version_min()) + " to " +
              std::to_string(hello.version_max()) + ", this memfaild speaks " +
              std::to_string(kProtocolVersion)};
}

}  // namespace

std::optional<Refusal> check_hello(const wire::Hello& hello) {
  if (hello.version_min() > kProtocolVersion || hello.version_max() < kProtocolVersion) {
    return refuse_version(hello);
  }
  if (hello.vcpus() == 0) {
    return refuse(ErrorCode::vcpus, "hello.vcpus", "hello.vcpus is 0, at least 1 is needed");
  }
  if (hello.vcpus() > shm::kMaxVcpus) {
    return refuse_limit(ErrorCode::vcpus, "hello.vcpus", hello.vcpus(), shm::kMaxVcpus);
  }
  if (hello.vendor() > wire::Vendor::amd) {
    return refuse_limit(ErrorCode::malformed, "hello.vendor",
                        static_cast<std::uint8_t>(hello.vendor()),
                        static_cast<std::uint8_t>(wire::Vendor::amd));
  }
  if (hello.vm_uuid()->size() > kMaxUuid) {
    return refuse_limit(ErrorCode::limit, "hello.vm_uuid length", hello.vm_uuid()->size(),
                        kMaxUuid);
  }
  if (hello.vm_name()->size() > kMaxVmName) {
    return refuse_limit(ErrorCode::limit, "hello.vm_name length", hello.vm_name()->size(),
                        kMaxVmName);
  }
  if (hello.deadline_ms() > kMaxDeadlineMs) {
    return refuse_limit(ErrorCode::limit, "hello.deadline_ms", hello.deadline_ms(), kMaxDeadlineMs);
  }
  return std::nullopt;
}

std::optional<Refusal> check_descriptors(const AttachedDescriptors& descriptors,
                                         std::uint32_t vcpus) {
  const shm::Geometry geometry(vcpus);
  if (auto good = shm::check_area_descriptor(descriptors.request.get(), geometry.request_size(),
                                             "request area");
      !good) {
    return refuse(ErrorCode::descriptor, good.error());
  }
  if (auto good = shm::check_eventfd(descriptors.kick.get(), "kick"); !good) {
    return refuse(ErrorCode::descriptor, good.error());
  }
  if (auto good = shm::check_pidfd(descriptors.vmm.get(), "vmm"); !good) {
    return refuse(ErrorCode::descriptor, good.error());
  }
  return std::nullopt;
}

decision::GuestProfile profile_of(const wire::Hello& hello) {
  decision::GuestProfile guest;
  guest.vendor = hello.vendor();
  guest.cpuid_1_eax = hello.cpuid_1_eax();
  guest.cpuid_80000007_ebx = hello.cpuid_80000007_ebx();
  guest.mcg_cap_configured = hello.mcg_cap_configured();
  guest.mcg_cap_kvm = hello.mcg_cap_kvm();
  guest.vcpus = hello.vcpus();
  return guest;
}

}  // namespace memfail::session
