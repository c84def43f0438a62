// SPDX-License-Identifier: BSD-3-Clause
//
// A real QEMU on /dev/kvm with the guest of guest.S, in a folder of its own, for as
// long as this lives. QEMU connects to us, so there is nothing to try again; what
// it prints can be waited for like its events.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/qemu/guest_line.h"
#include "tests/qemu/qmp.h"
#include "vmm_shim/reference/scenarios/child.h"
#include "vmm_shim/reference/scenarios/line_reader.h"

namespace memfail::qemu {

// An Intel processor that broadcasts; the models of real ones would have QEMU warn
// of each feature that this machine lacks.
inline constexpr const char* kIntelCpu = "qemu64,vendor=GenuineIntel,family=6,model=63,stepping=2";

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class Machine {
 public:
  struct Options {
    unsigned vcpus = 1;  // 1 or 2
    std::string cpu = kIntelCpu;
    bool spare_memory = false;  // 2 MiB of guest RAM that the guest cannot see
  };

  // All its vCPUs have begun.
  explicit Machine(const Options& options);

  GuestLine& vcpu(unsigned index) { return *vcpus_.at(index); }
  unsigned vcpus() const { return static_cast<unsigned>(vcpus_.size()); }
  Qmp& qmp() { return *qmp_; }
  pid_t pid() const { return child_->pid(); }
  std::string spare_memory_file() const { return folder_.file("spare"); }

  // The lines that QEMU printed since last asked, as of now.
  std::vector<std::string> take_log();
  // The lines up to the first that has `text`.
  std::vector<std::string> log_until(const std::string& text);
  // Its exit status, as Child has it; waited for.
  int end();

  // Stops it, and has all its vCPUs begin again; with `first_only` all but the first
  // wait for their startup interrupt. What the guest asked for before is done with:
  // QEMU resets once more when a second vCPU asks for it while it does.
  void reset(bool first_only = false);

 private:
  void connect(const Options& options);
  std::vector<std::string> command(const Options& options) const;
  void start_others();
  [[noreturn]] void fail(const std::string& what);

  TempFolder folder_;
  std::optional<scenarios::Child> child_;
  std::optional<scenarios::LineReader> output_;
  std::unique_ptr<Qmp> qmp_;
  std::vector<std::unique_ptr<GuestLine>> vcpus_;
};

// Skips, loudly, without QEMU or without /dev/kvm; ends what hangs.
class QemuTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
};

}  // namespace memfail::qemu
