// SPDX-License-Identifier: BSD-3-Clause
//
// What a lying VMM may try. Each runs in a process of its own until it is killed, or
// returns when it has nothing more to try.
#pragma once

#include <span>
#include <string>

namespace memfail::hostile {

struct Attack {
  const char* name;
  void (*run)(const std::string& socket);
  const char* logged;  // what memfaild says of it; null: nothing need be said
};

// Exit status of an attacker whose means this host does not give.
inline constexpr int kCannotBeMade = 77;

// One of descriptor_attacks(), to be used alone.
void send_files_that_hang(const std::string& socket);

std::span<const Attack> message_attacks();
std::span<const Attack> descriptor_attacks();
std::span<const Attack> area_attacks();
std::span<const Attack> connection_attacks();

}  // namespace memfail::hostile
