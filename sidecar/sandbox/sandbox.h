// SPDX-License-Identifier: BSD-3-Clause
//
// Theory of operation
//
// memfaild talks to VMMs that may be run by their guests. Whoever takes this process
// over through such a socket is to gain nothing but what the process has anyway: the
// right to answer its VMs. So it gives everything else up, for good, before it listens:
//
//   shed()     first of all, in one thread: descriptors that somebody left open are
//              closed, the environment is cleared. What was inherited is not ours.
//   (main)     opens what it will ever need: sockets, front, journal, /proc.
//   enter()    still one thread, for a user namespace refuses a process with more:
//              namespaces, an empty read-only root, no capabilities, no way to get new
//              privileges, no dumps, limits, Landlock with nothing granted, memory
//              locked. Afterwards no file, network, process or device has a name here.
//   confine()  every thread for itself, before its work: its system-call filter. The
//              threads start after enter(): an older one would keep its privileges.
//   seal()     the loop thread, last: no new processes, then its own filter.
//   (main)     listens, once every thread has confirmed.
//
// A layer that the host does not allow is named with what to do about it: `auto` goes
// on without it, `strict` refuses to start. `none` leaves all of them out.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/sandbox/filter.h"

namespace memfail::sandbox {

enum class Grade { kNone, kAuto, kStrict };

struct Layer {
  std::string name;
  bool in_force = false;
  std::string why;  // not in force: what the kernel says, and how to allow it
};

class Sandbox {
 public:
  using Done = std::expected<void, std::string>;

  Sandbox(Grade grade, Forbidden forbidden) : grade_(grade), forbidden_(forbidden) {}

  // Closes every descriptor above 2 that is not in `keep`, clears the environment.
  Done shed(std::span<const int> keep);
  // One thread, all files open. With kStrict this forks: it returns in the child, which
  // is alone in a PID namespace; the parent forwards signals and ends as the child does.
  Done enter();
  // The calling thread; false: its filter is not in force.
  bool confine(Thread thread);
  // The loop thread, after all others; `confined`: what confine() said in them.
  Done seal(bool confined);

  Grade grade() const { return grade_; }
  const std::vector<Layer>& layers() const { return layers_; }
  // "sandbox auto: in force: …; MISSING: …"
  std::string line() const;

 private:
  bool in_force(std::string_view name) const;
  Done note(std::string name, const std::expected<void, std::string>& done);

  const Grade grade_;
  const Forbidden forbidden_;
  std::vector<Layer> layers_;
};

}  // namespace memfail::sandbox
