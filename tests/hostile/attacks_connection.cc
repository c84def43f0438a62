// SPDX-License-Identifier: BSD-3-Clause
//
// Connections: many, silent ones, one after the other without end, and other VMs' names.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <vector>

#include "peer.h"
#include "tests/hostile/attack.h"

namespace memfail::hostile {
namespace {

using test::HelloFields;
using test::Peer;

HelloFields liar(std::uint64_t number = 0) {
  return {.session = {666, 1000 + number}, .name = "liar"};
}

// As many as there is room for, and more; none says anything.
void thousands_that_are_silent(const std::string& socket) {
  std::vector<Peer> silent;
  for (;;) {
    for (int i = 0; i < 900; ++i) silent.emplace_back(socket);
    silent.clear();
  }
}

void attaches_and_leaves(const std::string& socket) {
  for (;;) {
    Peer peer(socket);
    if (!peer.attach(liar())) continue;
    peer.send_goodbye();
  }
}

// A record for each that is left behind.
void leaves_sessions_behind(const std::string& socket) {
  for (std::uint64_t number = 0;; ++number) {
    Peer peer(socket);
    (void)peer.attach(liar(number));
  }
}

void takes_another_ones_session(const std::string& socket) {
  const HelloFields others{.session = {7777, 7777}, .name = "bystander"};
  for (std::uint64_t guess = 0;; ++guess) {
    Peer peer(socket);
    peer.make_descriptors(others);
    HelloFields wrong = others;
    if (guess % 2 == 1) wrong.resume_key = wire::Id128(guess, ~guess);
    peer.send_hello(wrong);
    (void)peer.receive();
  }
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"thousands that are silent", thousands_that_are_silent, "too many"},
    {"attaches and leaves", attaches_and_leaves, nullptr},
    {"leaves sessions behind", leaves_sessions_behind, nullptr},
    {"takes another one's session", takes_another_ones_session, "refused"},
});

}  // namespace

std::span<const Attack> connection_attacks() { return kAttacks; }

}  // namespace memfail::hostile
