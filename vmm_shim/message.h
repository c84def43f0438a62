// SPDX-License-Identifier: BSD-3-Clause
//
// Control messages, built in the session's one buffer.
#pragma once

#include <span>

#include "flatbuffers/flatbuffers.h"
#include "schema/control_generated.h"
#include "vmm_shim/state.h"

namespace memfail::shim {

inline constexpr std::uint32_t kProtocolVersion = 1;

// FlatBuffers' memory: one fixed buffer. Messages are sized so that it is enough.
class FixedBuffer : public flatbuffers::Allocator {
 public:
  explicit FixedBuffer(std::byte* buffer) : buffer_(buffer) {}
  std::uint8_t* allocate(std::size_t size) override;
  void deallocate(std::uint8_t* /*p*/, std::size_t /*size*/) override {}

 private:
  std::byte* buffer_;
};

// The most regions that one message carries: with names of 63 bytes it stays well
// below the 32 KiB limit.
inline constexpr std::uint32_t kRegionsPerMessage = 128;

// The most pages that one message carries.
inline constexpr std::uint32_t kPagesPerMessage = 128;

// What the VMM allows, as wire::Feature bits.
std::uint64_t features(const memfail_shim& shim);

// Each sends one message; 0 or negative errno (-EAGAIN: the socket is full, nothing
// was sent). The caller holds session.mutex.
int send_hello(memfail_shim& shim);
int send_commit(memfail_shim& shim);
int send_guest_reset(memfail_shim& shim, std::uint32_t epoch);
int send_vcpu_state(memfail_shim& shim, std::uint32_t index, bool online);
int send_poison_pages(memfail_shim& shim, std::span<const PoisonedPage> pages);
int send_operator_answer(memfail_shim& shim, std::uint64_t of, const OperatorAnswer& answer);
int send_goodbye(memfail_shim& shim);

// Sends the next chunk of what `sending` has and `sent` has not, and of what is to
// go; moves the cursors on success. `*done`: there was nothing left.
int send_region_chunk(memfail_shim& shim, bool* done);

}  // namespace memfail::shim
