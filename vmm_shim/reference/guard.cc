// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/guard.h"

#include <setjmp.h>

namespace memfail::reference {
namespace {

// initial-exec: a signal handler must not be the one that allocates TLS.
[[gnu::tls_model("initial-exec")]] thread_local sigjmp_buf* volatile way_out_now = nullptr;

}  // namespace

bool guarded(void (*access)(void* of), void* of) {
  sigjmp_buf way_out;
  // 1: with the signal mask, should the handler run with SIGBUS blocked.
  if (sigsetjmp(way_out, 1) != 0) {
    way_out_now = nullptr;
    return false;
  }
  way_out_now = &way_out;
  access(of);
  way_out_now = nullptr;
  return true;
}

bool is_guarded() { return way_out_now != nullptr; }

void leave_guarded() { siglongjmp(*way_out_now, 1); }

}  // namespace memfail::reference
