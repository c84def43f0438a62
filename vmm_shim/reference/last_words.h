// SPDX-License-Identifier: BSD-3-Clause
//
// What the VMM prints when a failure in its own memory ends it. That may be in a
// signal handler, in the middle of malloc: so everything but the incident is
// prepared beforehand, and the rest is one write.
#pragma once

#include <memfail/shim.h>

#include <string>

namespace memfail::reference {

// `prefix` is a JSON object without its closing brace; `fd` is where to print it.
void prepare_last_words(int fd, const std::string& prefix);

// Adds the incident, prints, ends with kExitAborted. Async-signal-safe.
[[noreturn]] void say_last_words(const memfail_incident* incident);

}  // namespace memfail::reference
