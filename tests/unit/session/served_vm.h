// SPDX-License-Identifier: BSD-3-Clause
//
// A session and its VMM in one process, over real areas and a real kick.
#pragma once

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "host.h"
#include "shm/reply_wait.h"
#include "sidecar/session/session.h"

namespace memfail::test {

inline constexpr std::uint64_t kServedHva = 0x7f00'0000'0000;

class ServedVm {
 public:
  explicit ServedVm(std::uint32_t vcpus)
      : geometry_(vcpus),
        kick_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        area_(must(shm::make_area(shm::AreaKind::kRequest, geometry_, kSession))),
        session_(host_, config(vcpus)) {
    shm::crc32c_prepare();
    attach();
  }

  // hello, one region, commit: as the dialogue does it.
  void attach() {
    session::AttachedDescriptors descriptors;
    descriptors.request.reset(::dup(area_.fd.get()));
    descriptors.kick.reset(::dup(kick_.get()));
    descriptors.vmm.reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    const shm::UniqueFd reply = must(session_.attach(std::move(descriptors)));
    reply_map_ = must(shm::open_peer_area(reply.get(), shm::AreaKind::kReply, geometry_, kSession));
    flatbuffers::FlatBufferBuilder builder;
    const wire::RegionRange range(0, 0x10'0000, kServedHva, 4096, 0, 0, 0);
    const auto ram = wire::CreateRegionAdd(builder, &range, builder.CreateString("ram"));
    builder.Finish(wire::CreateRegions(builder, 1, {}, builder.CreateVector(&ram, 1)));
    const auto* regions = flatbuffers::GetRoot<wire::Regions>(builder.GetBufferPointer());
    if (session_.stage(*regions)) std::abort();
    builder.Clear();
    builder.Finish(wire::CreateCommit(builder, 1, 1));
    if (session_.commit(*flatbuffers::GetRoot<wire::Commit>(builder.GetBufferPointer()))) {
      std::abort();
    }
  }

  test::FakeHost& host() { return host_; }
  session::Session& session() { return session_; }
  [[nodiscard]] const shm::Geometry& geometry() const { return geometry_; }
  [[nodiscard]] int kick_fd() const { return kick_.get(); }

  // ---- the VMM's side; a lane is one thread's
  [[nodiscard]] shm::RequestView request() const { return {area_.mapping.data(), geometry_}; }
  [[nodiscard]] shm::ReplyView reply() const { return {reply_map_.data(), geometry_}; }
  // Report and snapshot of an action-required error; none: the lane is full.
  [[nodiscard]] std::optional<shm::Claim> write_report(std::uint32_t lane) const {
    return write_report(lane, lane);
  }
  [[nodiscard]] std::optional<shm::Claim> write_report(std::uint32_t lane,
                                                       std::uint64_t page) const {
    const auto claim = shm::claim_in_lane(request(), reply(), lane);
    if (!claim) return {};
    const wire::ReportLine report(0, 0, wire::ReportKind::sigbus, wire::ThreadKind::vcpu_in_run, 12,
                                  0, kServedHva + 0x1000UL * page, 0, shm::monotonic_ns(), 4, 1, 1,
                                  0, 0);
    constexpr std::uint16_t kAllFields = 0x3FF;
    constexpr std::uint16_t kMceOnAndCtlGood = 0x3;
    const wire::SnapshotLine snapshot(0, 0, kAllFields, kMceOnAndCtlGood, 0, 0, 0,
                                      wire::kNoException, 0, static_cast<std::uint16_t>(lane), 0, 1,
                                      0, 0, 0, 0);
    shm::write_line(line(*claim, shm::LineKind::kReport), report, key(lane), claim->n);
    shm::write_line(line(*claim, shm::LineKind::kSnapshot), snapshot, key(lane), claim->n);
    return claim;
  }
  void write_outcome(const shm::Claim& claim) const {
    const wire::OutcomeLine outcome(0, 0, wire::Verdict::inject, wire::DecidedBy::sidecar,
                                    wire::Delivered::delivered, wire::Reason::guest_memory, 9, 0, 0,
                                    0, static_cast<std::uint16_t>(claim.id.lane), 0, 0, 0, 0, 0);
    shm::write_line(line(claim, shm::LineKind::kOutcome), outcome, key(claim.id.lane), claim.n);
  }
  // Any line of an incident, as its thread would.
  template <typename Line>
  void write(const shm::Claim& claim, shm::LineKind kind, const Line& content) const {
    shm::write_line(line(claim, kind), content, key(claim.id.lane), claim.n);
  }
  // True: it rang, as the sidecar says that it sleeps.
  [[nodiscard]] bool ring() const { return shm::ring(reply(), kick_.get()); }
  [[nodiscard]] bool is_answered(const shm::Claim& claim) const {
    return shm::load_word(reply().line(claim.id), wire::kWordOffset) ==
           shm::committed_word(claim.n);
  }
  [[nodiscard]] bool is_retired(const shm::Claim& claim) const {
    return reply().retired(claim.id) >= claim.n;
  }

 private:
  static constexpr shm::SessionId kSession{1, 2};

  template <typename T, typename E>
  static T must(std::expected<T, E> result) {
    if (!result) std::abort();
    return std::move(*result);
  }
  static session::SessionConfig config(std::uint32_t vcpus) {
    session::SessionConfig config;
    config.label = {wire::Id128(kSession.low, kSession.high), "uuid", "vm1"};
    config.guest.vendor = wire::Vendor::intel;
    config.guest.cpuid_1_eax = 0x306F2;
    config.guest.mcg_cap_configured = config.guest.mcg_cap_kvm = 0x100010A;
    config.guest.vcpus = vcpus;
    return config;
  }
  static shm::LineKey key(std::uint32_t lane) { return {kSession.low, kSession.high, lane}; }
  [[nodiscard]] std::byte* line(const shm::Claim& claim, shm::LineKind kind) const {
    return request().line(claim.id, kind);
  }

  shm::Geometry geometry_;
  shm::UniqueFd kick_;
  shm::OwnArea area_;
  test::FakeHost host_;
  session::Session session_;
  shm::Mapping reply_map_;
};

}  // namespace memfail::test
