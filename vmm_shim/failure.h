// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdarg>
#include <cstdio>

#include "memfail/shim.h"

namespace memfail::shim {

// Fills in one line and returns `number` (a negative errno).
[[gnu::format(printf, 3, 4)]] inline int fail(memfail_error* error, int number, const char* format,
                                              ...) {
  if (error != nullptr) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
  }
  return number;
}

}  // namespace memfail::shim
