// SPDX-License-Identifier: BSD-3-Clause
//
// Prints the rate of this computer's time-stamp counter in kHz. The emulated
// machine's counter runs at the same rate, and measuring it in there goes wrong
// by any factor while the computer is busy. Runs on the computer, not inside.
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct sample {
  uint64_t ticks;
  uint64_t nanoseconds;
};

// The tightest of many pairs: one that was not interrupted in between.
static struct sample take(void) {
  struct sample best = {0, 0};
  uint64_t width = UINT64_MAX;
  for (int i = 0; i < 200; ++i) {
    struct timespec now;
    uint64_t before = __rdtsc();
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    uint64_t after = __rdtsc();
    if (after - before >= width) continue;
    width = after - before;
    best.ticks = before + width / 2;
    best.nanoseconds = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
  }
  return best;
}

int main(void) {
  struct sample first = take();
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  struct sample last = take();
  double khz =
      (double)(last.ticks - first.ticks) / (double)(last.nanoseconds - first.nanoseconds) * 1e6;
  printf("%.0f\n", khz);
  return 0;
}
