// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/sandbox.h"

#include <stdlib.h>

#include <algorithm>
#include <cstring>

#include "sidecar/sandbox/allocator.h"
#include "sidecar/sandbox/descriptors.h"
#include "sidecar/sandbox/landlock.h"
#include "sidecar/sandbox/limits.h"
#include "sidecar/sandbox/namespaces.h"
#include "sidecar/sandbox/pid_namespace.h"
#include "sidecar/sandbox/privileges.h"
#include "sidecar/sandbox/root.h"

namespace memfail::sandbox {
namespace {

// What falls with the wall, for whoever asked for none.
constexpr const char* kNoWall =
    "sandbox none: NO WALL, for debugging only: whoever takes memfaild over has all that its "
    "user has, and can open and signal what the VMM can";

// With `strict` alone: it costs a second process.
constexpr const char* kPidNamespace = "pid-namespace";
constexpr const char* kLockedMemory = "locked-memory";
constexpr const char* kMountNamespace = "mount-namespace";

// A sanitizer's run-time reads /proc, starts threads and makes calls of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

std::unexpected<std::string> refused_for_sanitizer() {
  return std::unexpected<std::string>("this is a build with a sanitizer");
}

std::expected<void, std::string> unless_sanitized(std::expected<void, std::string> (*layer)()) {
  if (kSanitized) return refused_for_sanitizer();
  return layer();
}

}  // namespace

Sandbox::Done Sandbox::note(std::string name, const Done& done) {
  if (!done && grade_ == Grade::kStrict) {
    return std::unexpected("--sandbox strict: '" + name + "' cannot be had: " + done.error() +
                           " (--sandbox auto goes on without it)");
  }
  layers_.push_back({std::move(name), done.has_value(), done ? "" : done.error()});
  return {};
}

Sandbox::Done Sandbox::shed(std::span<const int> keep) {
  if (grade_ == Grade::kNone) return {};
  if (auto done = note("descriptors", close_all_but(keep)); !done) return done;
  return note("environment", ::clearenv() == 0 ? Done() : std::unexpected("clearenv() failed"));
}

Sandbox::Done Sandbox::enter() {
  if (grade_ == Grade::kNone) return {};
  keep_allocator_from_files();
  // Before the user namespace where we may: there, no lock goes beyond the limit any more,
  // and a fork would lose it.
  const bool alone = grade_ == Grade::kStrict && !kSanitized && enter_pid_namespace().has_value();
  if (alone) layers_.push_back({kPidNamespace, true, ""});
  const bool forks_later = grade_ == Grade::kStrict && !alone;
  enum class When { kAlways, kForksLater, kElse };
  struct Step {
    const char* name;
    Done (*layer)();
    bool with_sanitizer = false;
    When when = When::kAlways;
    const char* needs = nullptr;
  };
  // In this order: each needs what the later ones take away.
  constexpr Step kSteps[] = {
      {kLockedMemory, lock_memory, false, When::kElse},
      {"user-namespace", enter_user_namespace},
      {kPidNamespace, enter_pid_namespace, false, When::kForksLater},
      {kLockedMemory, lock_memory, false, When::kForksLater},  // a fork loses the locks
      {kMountNamespace, enter_mount_namespace},
      {"network-namespace", enter_network_namespace},
      {"ipc-namespace", enter_ipc_namespace},
      {"uts-namespace", enter_uts_namespace},
      {"cgroup-namespace", enter_cgroup_namespace},
      // Or it would be the root of whoever started us.
      {"empty-root", enter_empty_root, false, When::kAlways, kMountNamespace},
      {"no-capabilities", drop_capabilities, true},
      {"no-new-privs", refuse_new_privileges, true},
      {"not-dumpable", refuse_dumps, true},
      {"no-core-files", refuse_core_files, true},
      {"descriptor-limit", limit_descriptors, true},
      {"landlock", grant_no_files},
  };
  for (const Step& step : kSteps) {
    if (step.when == (forks_later ? When::kElse : When::kForksLater)) continue;
    const bool lacks = step.needs != nullptr && !kSanitized && !in_force(step.needs);
    const Done layer = lacks ? std::unexpected(std::string("needs the ") + step.needs)
                       : step.with_sanitizer ? step.layer()
                                             : unless_sanitized(step.layer);
    if (auto done = note(step.name, layer); !done) return done;
  }
  return {};
}

bool Sandbox::in_force(std::string_view name) const {
  return std::ranges::any_of(
      layers_, [&](const Layer& layer) { return layer.name == name && layer.in_force; });
}

bool Sandbox::confine(Thread thread) {
  if (grade_ == Grade::kNone) return true;
  return !kSanitized && load_filter(thread, forbidden_).has_value();
}

Sandbox::Done Sandbox::seal(bool confined) {
  if (grade_ == Grade::kNone) return {};
  if (auto done = note("no-new-processes", unless_sanitized(refuse_new_processes)); !done) {
    return done;
  }
  if (kSanitized) return note("seccomp", refused_for_sanitizer());
  Done filtered = load_filter(Thread::kLoop, forbidden_);
  if (filtered && !confined) filtered = std::unexpected("a thread could not load its filter");
  if (filtered && forbidden_ == Forbidden::kLog) {
    filtered = std::unexpected("--seccomp log lets through what it records");
  }
  return note("seccomp", filtered);
}

std::string Sandbox::line() const {
  if (grade_ == Grade::kNone) return kNoWall;
  std::string in_force;
  std::string missing;
  for (const Layer& layer : layers_) {
    if (layer.in_force) {
      in_force += " " + layer.name;
    } else {
      missing += (missing.empty() ? " " : "; ") + layer.name + " (" + layer.why + ")";
    }
  }
  return std::string("sandbox ") + (grade_ == Grade::kStrict ? "strict" : "auto") +
         ": in force:" + in_force + (missing.empty() ? "" : "; MISSING:" + missing);
}

}  // namespace memfail::sandbox
