// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace memfail::test {

// A build with a sanitizer: no filter, and of the sandbox only what its run-time allows.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace memfail::test
