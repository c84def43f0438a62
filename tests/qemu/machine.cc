// SPDX-License-Identifier: BSD-3-Clause
#include "tests/qemu/machine.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "tests/qemu/deadline.h"
#include "tests/qemu/guest.h"
#include "vmm_shim/reference/scenarios/socket_address.h"
#include "vmm_shim/reference/scenarios/wait.h"

namespace memfail::qemu {
namespace {

constexpr unsigned kPatienceSeconds = 150;

constexpr std::uint32_t kMsrApicBase = 0x1B;
constexpr std::uint64_t kApicBaseX2apic = 0xC00;
// Through the x2APIC's registers: memory-mapped ones are beyond real mode's reach.
constexpr std::uint32_t kMsrInterruptCommand = 0x830;
constexpr std::uint64_t kInitAllOthers = 0xC4500;
constexpr std::uint64_t kStartAllOthers = 0xC4600 | GUEST_STARTUP_VECTOR;

// Another QEMU may be tried with MEMFAIL_QEMU=PATH.
std::string program() {
  const char* chosen = std::getenv("MEMFAIL_QEMU");
  return chosen != nullptr ? chosen : "/usr/bin/qemu-system-x86_64";
}

std::string line_name(unsigned vcpu) { return "vcpu" + std::to_string(vcpu); }

void write_rom(const std::string& path) {
  std::ofstream rom(path, std::ios::binary);
  rom.write(reinterpret_cast<const char*>(guest_rom), guest_rom_end - guest_rom);
}

// A socket that waits for one connection.
class Listener {
 public:
  explicit Listener(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = scenarios::socket_address(path);
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(fd_.get(), 1) < 0) {
      throw std::runtime_error(path + ": " + std::strerror(errno));
    }
  }

  // Invalid when the process that should connect ends instead, or does nothing.
  shm::UniqueFd accept(int end) const {
    if (scenarios::first_readable(fd_.get(), end, deadline()) != fd_.get()) return {};
    return shm::UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

 private:
  shm::UniqueFd fd_;
};

}  // namespace

TempFolder::TempFolder() : path_(std::filesystem::temp_directory_path() / "memfail-qemu-XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error(path_ + ": no such folder");
}

TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }

Machine::Machine(const Options& options) {
  write_rom(folder_.file("rom"));
  connect(options);
  vcpu(0).await_ready();
  start_others();
}

void Machine::fail(const std::string& what) {
  std::string text = "QEMU: " + what;
  for (const std::string& line : take_log()) text += "\n  " + line;
  throw std::runtime_error(text);
}

std::vector<std::string> Machine::command(const Options& options) const {
  // Through a shell, so that all it prints comes in one stream, in its order.
  std::vector<std::string> words = {
      "/bin/sh", "-c", "exec \"$@\" 2>&1", "sh", program(), "-accel", "kvm", "-machine", "pc",
      "-cpu", options.cpu, "-smp", std::to_string(options.vcpus), "-m", "16", "-nodefaults",
      "-no-user-config", "-display", "none", "-bios", folder_.file("rom"),
      // Its messages of resets, which come with the vCPUs' registers.
      "-d", "cpu_reset", "-mon", "chardev=qmp,mode=control", "-chardev",
      "socket,id=qmp,path=" + folder_.file("qmp")};
  const auto add = [&](const std::string& option, const std::string& value) {
    words.insert(words.end(), {option, value});
  };
  for (unsigned i = 0; i < options.vcpus; ++i) {
    add("-chardev", "socket,id=" + line_name(i) + ",path=" + folder_.file(line_name(i)));
    add("-device", "isa-serial,chardev=" + line_name(i));
  }
  if (options.spare_memory) {
    add("-object", "memory-backend-file,id=spare,size=2M,share=on,mem-path=" + spare_memory_file());
  }
  return words;
}

void Machine::connect(const Options& options) {
  const Listener qmp(folder_.file("qmp"));
  std::vector<Listener> lines;
  for (unsigned i = 0; i < options.vcpus; ++i) lines.emplace_back(folder_.file(line_name(i)));
  child_.emplace(scenarios::ChildStart{command(options), "/dev/null", {}});
  output_.emplace(child_->output());
  const auto accept = [&](const Listener& listener) {
    shm::UniqueFd socket = listener.accept(child_->end());
    if (!socket.valid()) fail("it does not start");
    return socket;
  };
  for (unsigned i = 0; i < options.vcpus; ++i) {
    vcpus_.push_back(std::make_unique<GuestLine>(accept(lines[i]), i));
  }
  qmp_ = std::make_unique<Qmp>(accept(qmp));
}

void Machine::start_others() {
  if (vcpus() == 1) return;
  vcpu(0).wrmsr(kMsrApicBase, vcpu(0).rdmsr(kMsrApicBase) | kApicBaseX2apic);
  vcpu(0).wrmsr(kMsrInterruptCommand, kInitAllOthers);
  vcpu(0).wrmsr(kMsrInterruptCommand, kStartAllOthers);
  for (unsigned i = 1; i < vcpus(); ++i) vcpu(i).await_ready();
}

std::vector<std::string> Machine::take_log() {
  std::vector<std::string> lines;
  while (auto line = output_->next(std::chrono::steady_clock::now())) {
    lines.push_back(std::move(*line));
  }
  return lines;
}

std::vector<std::string> Machine::log_until(const std::string& text) {
  std::vector<std::string> lines;
  while (auto line = output_->next(deadline())) {
    lines.push_back(std::move(*line));
    if (lines.back().find(text) != std::string::npos) return lines;
  }
  fail("waited for it to print \"" + text + "\", and it did not");
}

int Machine::end() {
  const auto status = child_->wait_until(deadline());
  if (!status) fail("it should have ended");
  return *status;
}

void Machine::reset(bool first_only) {
  qmp().execute("stop");
  for (const auto& vcpu : vcpus_) vcpu->forget();
  qmp().execute("system_reset");
  while (qmp().event("RESET")["data"]["guest"] != false) continue;
  qmp().execute("cont");
  vcpu(0).await_ready();
  if (!first_only) start_others();
}

void QemuTest::SetUp() {
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) GTEST_SKIP() << "/dev/kvm: " << std::strerror(errno) << ": NOTHING WAS TESTED";
  ::close(fd);
  if (::access(program().c_str(), X_OK) < 0) {
    GTEST_SKIP() << program() << ": " << std::strerror(errno) << ": NOTHING WAS TESTED";
  }
  ::alarm(kPatienceSeconds);
}

void QemuTest::TearDown() { ::alarm(0); }

}  // namespace memfail::qemu
