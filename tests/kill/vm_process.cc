// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/vm_process.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "memfail/shim.h"

namespace memfail::kill {
namespace {

void must(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::abort();
}

}  // namespace

VmProcess::VmProcess(const std::string& socket, std::string name, const std::string& log,
                     const Pace& pace)
    : name_(std::move(name)) {
  const shm::UniqueFd file(::memfd_create("load-log", MFD_CLOEXEC));
  must(::ftruncate(file.get(), sizeof(LoadLog)) == 0, "the VM's log");
  void* at = ::mmap(nullptr, sizeof(LoadLog), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  must(at != MAP_FAILED, "the VM's log");
  memory_ = shm::Mapping(at, sizeof(LoadLog));
  std::array<int, 2> ends{};
  must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair");
  const shm::UniqueFd output(ends[0]);
  input_.reset(ends[1]);
  // The log goes to its place last: the other's end may have that number.
  child_ = ChildProcess({LOAD_VM_PATH, socket, name_, std::to_string(pace.most_idle_us),
                         std::to_string(pace.page_rest_ms)},
                        log, {{output.get(), STDIN_FILENO}, {file.get(), kLogDescriptor}});
}

std::string VmProcess::session() const {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%016lx%016lx", log().session_high.load(),
                log().session_low.load());
  return text.data();
}

void VmProcess::command(char one) const {
  ::send(input_.get(), &one, 1, MSG_NOSIGNAL);  // one that is dead hears nothing
}

bool VmProcess::is_attached() const { return log().state.load() == MEMFAIL_ATTACHED; }

const ProbeTable& VmProcess::probes() {
  static const auto table = ProbeTable::read(LOAD_VM_PATH);
  if (!table) std::fprintf(stderr, "%s\n", table.error().c_str());
  return table.value();
}

}  // namespace memfail::kill
