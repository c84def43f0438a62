// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/message.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "shm/control_socket.h"
#include "shm/reply_wait.h"

namespace memfail::shim {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

template <typename T>
int send_body(memfail_shim& shim, Builder& builder, wire::Body type, flatbuffers::Offset<T> body,
              std::span<const int> fds = {}) {
  Session& session = shim.session;
  const std::uint64_t id = session.next_message;
  builder.Finish(wire::CreateMessage(builder, id, type, body.Union()), wire::MessageIdentifier());
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  const int result = shm::send_message(session.socket.get(), bytes, fds);
  if (result == 0) ++session.next_message;
  return result;
}

// CLOCK_REALTIME, as it was at moments of CLOCK_MONOTONIC.
class Calendar {
 public:
  Calendar() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    begin_us_ = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                static_cast<std::uint64_t>(now.tv_nsec) / 1000 - shm::monotonic_ns() / 1000;
  }
  [[nodiscard]] std::uint64_t us(std::uint64_t monotonic_ns) const {
    return monotonic_ns == 0 ? 0 : begin_us_ + monotonic_ns / 1000;
  }

 private:
  std::uint64_t begin_us_ = 0;  // of CLOCK_MONOTONIC
};

std::array<char, 37> uuid_text(const std::uint8_t (&uuid)[16]) {
  std::array<char, 37> text{};
  char* at = text.data();
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    at += std::snprintf(at, 3, "%02x", uuid[i]);
  }
  return text;
}

// A merge of two lists ordered by slot: what is only in `sent`, or there with
// another stamp, goes; what is only in `sending`, or new, comes. It is gone through
// twice, first for what goes, so that a full table never overflows on the way.
struct Diff {
  const RegionList& sent;
  const RegionList& sending;
  std::uint32_t from;
  std::uint32_t to;

  [[nodiscard]] bool at_end() const { return from == sent.count && to == sending.count; }
  // Steps once; sets what is to be removed or added by the step (or neither).
  void step(const StoredRegion** gone, const StoredRegion** come) {
    *gone = nullptr;
    *come = nullptr;
    const StoredRegion* old = from < sent.count ? &sent.items[from] : nullptr;
    const StoredRegion* now = to < sending.count ? &sending.items[to] : nullptr;
    const bool take_old =
        now == nullptr || (old != nullptr && old->region.slot <= now->region.slot);
    const bool take_now =
        old == nullptr || (now != nullptr && now->region.slot <= old->region.slot);
    const bool both = old != nullptr && now != nullptr && old->region.slot == now->region.slot;
    const bool same = both && old->stamp == now->stamp;
    if (take_old) ++from;
    if (take_now) ++to;
    if (take_old && !same) *gone = old;
    if (take_now && !same) *come = now;
  }
};

flatbuffers::Offset<wire::RegionAdd> add_region(Builder& builder, const StoredRegion& stored) {
  const decision::Region& r = stored.region;
  const wire::RegionRange range(r.gpa, r.size, r.hva, r.page_size, r.slot, r.address_space,
                                r.flags);
  const auto name = builder.CreateString(stored.name.data());
  return wire::CreateRegionAdd(builder, &range, name);
}

}  // namespace

std::uint8_t* FixedBuffer::allocate(std::size_t size) {
  if (size > shm::kMaxMessage) std::abort();  // our own messages are bounded
  return reinterpret_cast<std::uint8_t*>(buffer_);
}

static_assert(MEMFAIL_ALLOW_DRILLS == static_cast<std::uint64_t>(wire::Feature::drills));
static_assert(MEMFAIL_ALLOW_INJECTIONS == static_cast<std::uint64_t>(wire::Feature::injections));

std::uint64_t features(const memfail_shim& shim) {
  return shim.config.allow | static_cast<std::uint64_t>(wire::Feature::live_rules);
}

int send_hello(memfail_shim& shim) {
  Session& session = shim.session;
  FixedBuffer memory(session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  const auto uuid = builder.CreateString(uuid_text(shim.config.vm_uuid).data());
  const auto name = builder.CreateString(shim.vm_name.data());
  const wire::Id128 id(session.id.low, session.id.high);
  const wire::Id128 key(session.resume_low, session.resume_high);
  const decision::GuestProfile& guest = shim.profile;
  const auto hello = wire::CreateHello(builder, kProtocolVersion, kProtocolVersion, features(shim),
                                       &id, session.have_resume_key ? &key : nullptr, uuid, name,
                                       guest.vendor, guest.cpuid_1_eax, guest.cpuid_80000007_ebx,
                                       guest.mcg_cap_configured, guest.mcg_cap_kvm, guest.vcpus,
                                       shim.config.deadline_ms, shim.pid, shim.start_time);
  const std::array<int, 3> fds{shim.request_area.fd.get(), session.kick.get(), session.pidfd.get()};
  return send_body(shim, builder, wire::Body::Hello, hello, fds);
}

int send_commit(memfail_shim& shim) {
  Session& session = shim.session;
  FixedBuffer memory(session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  session.commit_message = session.next_message;
  return send_body(shim, builder, wire::Body::Commit,
                   wire::CreateCommit(builder, session.sending_generation, session.sending.count));
}

int send_guest_reset(memfail_shim& shim, std::uint32_t epoch) {
  FixedBuffer memory(shim.session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  return send_body(shim, builder, wire::Body::GuestReset, wire::CreateGuestReset(builder, epoch));
}

int send_vcpu_state(memfail_shim& shim, std::uint32_t index, bool online) {
  FixedBuffer memory(shim.session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  return send_body(shim, builder, wire::Body::VcpuState,
                   wire::CreateVcpuState(builder, index, online));
}

int send_poison_pages(memfail_shim& shim, std::span<const PoisonedPage> pages) {
  FixedBuffer memory(shim.session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  const Calendar calendar;
  std::array<wire::PoisonPage, kPagesPerMessage> list;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    const PoisonedPage& page = pages[i];
    list[i] = {page.hva,
               page.gpa,
               page.size,
               page.told,
               page.drill,
               page.repair,
               page.reports,
               calendar.us(page.first_ns),
               calendar.us(page.last_ns)};
  }
  const auto vector = builder.CreateVectorOfStructs(list.data(), pages.size());
  const std::uint32_t epoch = shim.guest_epoch.load(std::memory_order_acquire);
  return send_body(shim, builder, wire::Body::PoisonPages,
                   wire::CreatePoisonPages(builder, epoch, vector));
}

int send_operator_answer(memfail_shim& shim, std::uint64_t of, const OperatorAnswer& answer) {
  FixedBuffer memory(shim.session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  return send_body(shim, builder, wire::Body::OperatorAnswer,
                   wire::CreateOperatorAnswer(builder, of, answer.refusal, answer.value,
                                              answer.limit, answer.lane, answer.sequence));
}

int send_goodbye(memfail_shim& shim) {
  FixedBuffer memory(shim.session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  const auto reason = builder.CreateString("the VM goes away");
  return send_body(shim, builder, wire::Body::Goodbye, wire::CreateGoodbye(builder, reason));
}

int send_region_chunk(memfail_shim& shim, bool* done) {
  Session& session = shim.session;
  Diff diff{session.sent, session.sending, session.sent_cursor, session.sending_cursor};
  bool removing = session.removing;
  FixedBuffer memory(session.buffer);
  Builder builder(shm::kMaxMessage, &memory);
  std::array<std::uint32_t, kRegionsPerMessage> gone{};
  std::array<flatbuffers::Offset<wire::RegionAdd>, kRegionsPerMessage> come{};
  std::uint32_t gone_count = 0;
  std::uint32_t come_count = 0;
  while (gone_count < kRegionsPerMessage && come_count < kRegionsPerMessage) {
    if (diff.at_end() && !removing) break;
    if (diff.at_end()) {
      removing = false;
      diff.from = diff.to = 0;
      continue;
    }
    const StoredRegion* removed = nullptr;
    const StoredRegion* added = nullptr;
    diff.step(&removed, &added);
    if (removing && removed != nullptr) gone[gone_count++] = removed->region.slot;
    if (!removing && added != nullptr) come[come_count++] = add_region(builder, *added);
  }
  *done = gone_count == 0 && come_count == 0;
  int result = 0;
  if (!*done) {
    const auto removals = builder.CreateVector(gone.data(), gone_count);
    const auto additions = builder.CreateVector(come.data(), come_count);
    result =
        send_body(shim, builder, wire::Body::Regions,
                  wire::CreateRegions(builder, session.sending_generation, removals, additions));
  }
  if (result == 0) {
    session.sent_cursor = diff.from;
    session.sending_cursor = diff.to;
    session.removing = removing;
  }
  return result;
}

}  // namespace memfail::shim
