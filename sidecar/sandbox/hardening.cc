// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/hardening.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace memfail::sandbox {
namespace {

bool refuse_new_privileges() { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0; }

bool refuse_dumps() { return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0; }

bool refuse_core_files() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  return ::setrlimit(RLIMIT_CORE, &none) == 0;
}

}  // namespace

Hardening harden_process() {
  Hardening out;
  const auto layer = [&](const char* name, bool done) {
    (done ? out.in_force : out.missing).emplace_back(name);
  };
  layer("no-new-privs", refuse_new_privileges());
  layer("not-dumpable", refuse_dumps());
  layer("no-core-files", refuse_core_files());
  for (const char* later : {"namespaces", "landlock", "seccomp"}) layer(later, false);
  return out;
}

}  // namespace memfail::sandbox
