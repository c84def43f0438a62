// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/exit.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace memfail::reference {

void die(const std::string& what, int status) {
  std::fprintf(stderr, "memfail-vmm: %s\n", what.c_str());
  std::_Exit(status);  // vCPU threads may still run: no destructors
}

int must(int result, const char* what) {
  if (result < 0) die(std::string(what) + ": " + std::strerror(errno));
  return result;
}

}  // namespace memfail::reference
