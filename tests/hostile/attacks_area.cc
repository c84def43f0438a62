// SPDX-License-Identifier: BSD-3-Clause
//
// The request area and the kick: words that change while they are read, sequences at
// their end, lanes that are full, doorbells that do not stop.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "peer.h"
#include "shm/reply_wait.h"
#include "tests/hostile/attack.h"

namespace memfail::hostile {
namespace {

using test::HelloFields;
using test::Peer;

constexpr std::uint64_t kHva = 0x7f0000005000;
constexpr int kActionRequired = 4;

// A session that broke is still its owner's: each try is another one.
HelloFields liar(std::uint64_t number = 0) {
  return {.session = {666, 100 + number}, .name = "liar"};
}

void report(Peer& peer, const shm::Claim& claim) {
  peer.commit_report(claim, kHva, kActionRequired);
  peer.commit_snapshot(claim);
}

// Good lines and damaged ones by turns, by two threads, without an agreement.
void changes_what_is_read(const std::string& socket) {
  for (std::uint64_t number = 0;; ++number) {
    Peer peer(socket);
    if (!peer.attach(liar(number))) return;
    const shm::Claim claim{{0, 0}, 1};
    std::thread writer([&] {
      std::mt19937_64 random(number);  // NOLINT: the same each time
      for (int i = 0; i < 2000; ++i) {
        report(peer, claim);
        const auto kind = static_cast<shm::LineKind>(random() % 3);
        shm::store_word(peer.request().line(claim.id, kind), random() % 8 * 8, random());
      }
    });
    for (int i = 0; i < 200; ++i) peer.ring();
    writer.join();
  }
}

void everything_is_random(const std::string& socket) {
  for (std::uint64_t number = 0;; ++number) {
    Peer peer(socket);
    if (!peer.attach(liar(number))) return;
    std::mt19937_64 random(number);  // NOLINT: the same each time
    for (std::uint32_t lane = 0; lane < 3; ++lane) {
      std::byte* const at = peer.request().lane(lane);
      for (std::size_t i = 0; i < 64; ++i) shm::store_word(at, i * 8, random());
    }
    peer.ring();
    (void)peer.receive();
  }
}

void sequences_at_their_end(const std::string& socket) {
  constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t number = 0;
  for (const std::uint64_t n : {kLast, kLast - 1, std::uint64_t{1} << 63, std::uint64_t{1} << 62,
                                std::uint64_t{0xFFFFFFFF}, std::uint64_t{1} << 32}) {
    Peer peer(socket);
    if (!peer.attach(liar(number++))) return;
    for (std::uint32_t cell = 0; cell < 4; ++cell) report(peer, {{0, cell}, n - cell});
    peer.ring();
    (void)peer.receive();
  }
}

// All cells of all lanes at once, for ever, without an outcome.
void full_lanes(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  for (;;) {
    for (std::uint32_t lane = 0; lane < 2; ++lane) {
      while (const auto claim = peer.claim(lane)) report(peer, *claim);
    }
    peer.ring();
  }
}

// As fast as it goes, each an incident of its own: records and events without end.
void fills_the_journal(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  for (std::uint64_t i = 0;; ++i) {
    const auto claim = peer.claim(static_cast<std::uint32_t>(i % 2));
    if (!claim) continue;
    peer.commit_report(*claim, kHva + i % 250 * 4096, kActionRequired);
    peer.commit_snapshot(*claim);
    peer.commit_outcome(*claim, wire::Verdict::inject, wire::DecidedBy::builtin);
    peer.ring();
  }
}

// Whoever says goodbye, or dies in one process and lives in another, goes on writing.
void leaves_and_goes_on(const std::string& socket) {
  for (std::uint64_t number = 0;; ++number) {
    Peer peer(socket);
    if (!peer.attach(liar(number))) return;
    std::atomic<bool> left = false;
    std::vector<std::thread> writers;
    for (std::uint32_t lane = 0; lane < 2; ++lane) {
      writers.emplace_back([&, lane] {
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
        while (std::chrono::steady_clock::now() < until) {
          const auto claim = peer.claim(lane);
          if (!claim) continue;
          peer.commit_report(*claim, kHva, kActionRequired);
          peer.commit_snapshot(*claim);
          peer.commit_outcome(*claim, wire::Verdict::inject, wire::DecidedBy::builtin);
          if (!left) peer.ring();
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    left = true;
    peer.send_goodbye();
    for (std::thread& writer : writers) writer.join();
  }
}

void kicks_without_end(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  const std::uint64_t one = 1;
  for (;;) (void)!::write(peer.kick.get(), &one, sizeof one);
}

// O_NONBLOCK belongs to the open file, and the peer has it, too.
void kick_that_blocks(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() - 1;
  for (;;) {
    (void)::fcntl(peer.kick.get(), F_SETFL, O_NONBLOCK);
    (void)!::write(peer.kick.get(), &most, sizeof most);
    std::uint64_t drained = 0;
    (void)!::read(peer.kick.get(), &drained, sizeof drained);
    (void)::fcntl(peer.kick.get(), F_SETFL, 0);
    if (const auto claim = peer.claim(0)) report(peer, *claim);
  }
}

// Where there is swap, each look at the area waits for it.
void pages_itself_out(const std::string& socket) {
  Peer peer(socket);
  if (!peer.attach(liar())) return;
  std::byte* const page = peer.request().lane(0) - wire::kLineSize;
  auto* const start =
      reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(page) & ~4095UL);
  for (;;) {
    (void)::madvise(start, 4096, MADV_PAGEOUT);
    peer.ring();
  }
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"changes what is read", changes_what_is_read, nullptr},
    {"everything is random", everything_is_random, nullptr},
    {"sequences at their end", sequences_at_their_end, nullptr},
    {"full lanes", full_lanes, nullptr},
    {"fills the journal", fills_the_journal, nullptr},
    {"leaves and goes on", leaves_and_goes_on, nullptr},
    {"kicks without end", kicks_without_end, nullptr},
    {"kick that blocks", kick_that_blocks, nullptr},
    {"pages itself out", pages_itself_out, nullptr},
});

}  // namespace

std::span<const Attack> area_attacks() { return kAttacks; }

}  // namespace memfail::hostile
