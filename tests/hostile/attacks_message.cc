// SPDX-License-Identifier: BSD-3-Clause
//
// Messages: too short, too long, damaged, at the wrong time, twice, too many.
#include <array>
#include <random>

#include "peer.h"
#include "shm/geometry.h"
#include "tests/hostile/attack.h"

namespace memfail::hostile {
namespace {

using test::HelloFields;
using test::Peer;

HelloFields liar() { return {.session = {666, 1}, .name = "liar"}; }

void any_size(const std::string& socket) {
  for (const std::size_t size :
       {1UL, 2UL, 4UL, 7UL, 8UL, 100UL, 4096UL, 32767UL, 32768UL, 32769UL, 65536UL, 150'000UL}) {
    for (const int byte : {0, 1, 0x7F, 0xFF}) {
      Peer peer(socket);
      peer.send_raw(std::vector<std::byte>(size, static_cast<std::byte>(byte)));
      (void)peer.receive();
    }
  }
}

void cut_hellos(const std::string& socket) {
  const auto whole = Peer::hello_bytes(liar());
  for (std::size_t size = 1; size < whole.size(); ++size) {
    Peer peer(socket);
    peer.make_descriptors(liar());
    peer.send_raw({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)},
                  peer.hello_fds());
    (void)peer.receive();
  }
}

// Lengths, offsets, types, enumerators: every byte is one of these somewhere.
void damaged_hellos(const std::string& socket) {
  const auto whole = Peer::hello_bytes(liar());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      auto damaged = whole;
      damaged[i] ^= static_cast<std::byte>(change);
      Peer peer(socket);
      peer.make_descriptors(liar());
      peer.send_raw(damaged, peer.hello_fds());
      (void)peer.receive();
    }
  }
}

void send_one(Peer& peer, int which) {
  switch (which) {
    case 0:
      return peer.send_hello(liar());
    case 1:
      return peer.send_regions(2, {{.slot = 1, .gpa = 0x200000}});
    case 2:
      return peer.send_regions(2, {}, {0, 0, 7});
    case 3:
      return peer.send_commit(2, 1);
    case 4:
      return peer.send_commit(0xFFFFFFFF, 0xFFFFFFFF);
    case 5:
      return peer.send_vcpu_state(0xFFFFFFFF);
    case 6:
      return peer.send_guest_reset();
    case 7:
      return peer.send_order_refusal(1, wire::OperatorRefusal::none);
    default:
      return peer.send_goodbye();
  }
}

// Each pair and triple of messages, before and after the attach.
void any_order(const std::string& socket) {
  constexpr int kKinds = 9;
  for (int i = 0; i < kKinds * kKinds * kKinds; ++i) {
    Peer peer(socket);
    peer.make_descriptors(liar());
    if (i % 2 == 0 && !peer.attach(liar())) continue;
    for (const int which : {i % kKinds, i / kKinds % kKinds, i / kKinds / kKinds}) {
      send_one(peer, which);
    }
    (void)peer.receive();
    peer.send_goodbye();
  }
}

void random_bytes(const std::string& socket) {
  std::mt19937 random(1);  // NOLINT: the same each time
  const auto whole = Peer::hello_bytes(liar());
  for (;;) {
    auto damaged = whole;
    for (int i = 0; i < 8; ++i)
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    Peer peer(socket);
    peer.make_descriptors(liar());
    peer.send_raw(damaged, peer.hello_fds());
    (void)peer.receive();
  }
}

// More than it may say in a second, each message fine; the answers are read.
void talks_without_end(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  for (;;) {
    for (int i = 0; i < 32; ++i) peer.send_vcpu_state(static_cast<std::uint32_t>(i % 2));
    for (int i = 0; i < 32; ++i) (void)peer.receive();
  }
}

void never_listens(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  for (;;) peer.send_vcpu_state(0);
}

// The largest map of regions there may be, again and again.
void moves_its_memory(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  for (std::uint32_t generation = 2;; ++generation) {
    std::vector<test::RegionFields> regions;
    std::vector<std::uint32_t> slots;
    for (std::uint32_t slot = 1; slot <= 200; ++slot) {
      regions.push_back({.slot = slot, .gpa = slot * 0x100000UL, .size = 0x1000});
      slots.push_back(slot);
    }
    const bool adding = generation % 2 == 0;
    peer.send_regions(generation, adding ? regions : std::vector<test::RegionFields>{},
                      adding ? std::vector<std::uint32_t>{} : slots);
    peer.send_commit(generation, adding ? 201 : 1);
    if (!peer.receive().is_ack() || !peer.receive().is_ack()) return;
  }
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"messages of any size", any_size, "refused"},
    {"hellos cut short", cut_hellos, "refused"},
    {"damaged hellos", damaged_hellos, "refused"},
    {"messages in any order", any_order, "is not allowed in state"},
    {"random bytes", random_bytes, "refused"},
    {"talks without end", talks_without_end, nullptr},
    {"never listens", never_listens, nullptr},
    {"moves its memory", moves_its_memory, nullptr},
});

}  // namespace

std::span<const Attack> message_attacks() { return kAttacks; }

}  // namespace memfail::hostile
