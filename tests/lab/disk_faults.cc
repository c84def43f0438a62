// SPDX-License-Identifier: BSD-3-Clause
//
// A disk that fails, and one that hangs, under a real memfaild with VMs under load. Each
// fault goes like this: it is said within a while, verdicts go on by the sidecar, events
// are told as not durable, and once the disk is back all is well by itself, with an event
// that says how much was at risk. Nothing is missing or told twice at the end.
//
//   memfail-lab-disk-faults DEVICE SECTORS NAME MOUNT HANG_S
//
// NAME is a device of the device mapper over DEVICE with ext4 at MOUNT. Runs inside the
// lab (jobs/disk-faults), as root.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shm/unique_fd.h"
#include "tests/kill/event_reader.h"
#include "tests/kill/judge.h"
#include "tests/kill/latencies.h"
#include "tests/kill/sidecar_process.h"
#include "tests/kill/story.h"
#include "tests/kill/vm_process.h"

namespace memfail::lab {
namespace {

using kill::EventReader;
using kill::Fate;
using kill::Judge;
using kill::SidecarProcess;
using kill::Story;
using kill::VmProcess;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr seconds kPatience{60};
constexpr milliseconds kLook{20};
constexpr int kVms = 3;
// Emulated: a load that leaves room to see the disk, not the processor.
constexpr kill::Pace kPace{.most_idle_us = 1'500'000, .page_rest_ms = 5000};

int failures = 0;

bool check(bool ok, const std::string& what) {
  std::printf("%-4s %s\n", ok ? "ok" : "FAIL", what.c_str());
  failures += ok ? 0 : 1;
  return ok;
}

void run(const std::string& command) {
  if (std::system(command.c_str()) != 0) check(false, "cannot: " + command);
}

struct Device {
  std::string device, sectors, name, mount;

  // Without the file system's freezing: it must not wait for what does not come.
  void put(const std::string& table) const {
    run("dmsetup suspend --noflush --nolockfs " + name + " && dmsetup load " + name +
        " --table '0 " + sectors + " " + table + "' && dmsetup resume --noudevsync " + name);
  }
  void good() const { put("linear " + device + " 0"); }
  // Always in its failing interval: what is read is as it was.
  void fail_writes() const { put("flakey " + device + " 0 0 600 1 error_writes"); }
  void fail_all() const { put("error"); }
  // Somebody else lets go of it as well, whatever becomes of us.
  void hang(int limit_s) const {
    run("( sleep " + std::to_string(limit_s) + "; dmsetup resume --noudevsync " + name +
        " ) >/dev/null 2>&1 &");
    run("dmsetup suspend --noflush --nolockfs " + name);
  }
  void let_go() const { run("dmsetup resume --noudevsync " + name); }
};

// ---- the VMs and what is told of them ----

class Vm {
 public:
  Vm(const SidecarProcess& sidecar, const std::string& directory, const std::string& name)
      : process_(sidecar.vms(), name, directory + "/vm.log", kPace) {}

  void judge_with(Story& story) { judge_.emplace(process_.log(), process_.session(), story); }
  VmProcess& process() { return process_; }
  Judge& judge() { return *judge_; }

 private:
  VmProcess process_;
  std::optional<Judge> judge_;
};

class Scene {
 public:
  explicit Scene(Device device)
      : device_(std::move(device)), sidecar_(directory_), reader_(sidecar_.events(), story_) {
    story_.allow_outages();
    sidecar_.keep_journal_in(device_.mount + "/journal", 3, 1 << 20);
  }

  void run_all(seconds hang);

 private:
  bool wait_until(const std::function<bool()>& condition);
  void wait(Clock::duration time);
  void start_sidecar();
  void start_vms();
  std::size_t said(const std::string& words) const;
  void fault(const std::string& name, const std::string& reason,
             const std::function<void()>& break_it, const std::function<void()>& mend_it);
  void load_for(const std::string& when, seconds time);
  void end_while_it_hangs();
  void survive_an_aborted_file_system();
  void settle(const std::string& when);

  Device device_;
  std::string directory_ = "/dev/shm/disk-faults";
  Story story_;
  SidecarProcess sidecar_;
  EventReader reader_;
  std::vector<std::unique_ptr<Vm>> vms_;
};

void Scene::wait(Clock::duration time) {
  const auto until = Clock::now() + time;
  do {
    reader_.pump();
    const timespec nap{0, std::chrono::nanoseconds(kLook).count()};
    ::nanosleep(&nap, nullptr);
  } while (Clock::now() < until);
}

bool Scene::wait_until(const std::function<bool()>& condition) {
  const auto limit = Clock::now() + kPatience;
  while (!condition()) {
    if (Clock::now() > limit) return false;
    wait(kLook);
  }
  return true;
}

// How often the sidecar has said so.
std::size_t Scene::said(const std::string& words) const {
  const std::string log = sidecar_.log();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = log.find(words, at)) != std::string::npos; ++at) ++count;
  return count;
}

void Scene::start_sidecar() {
  if (!check(sidecar_.start(), "memfaild serves")) std::printf("%s\n", sidecar_.log().c_str());
  for (const auto& vm : vms_) {
    vm->process().command(kill::kAttachNow);
    const std::string attached = "VM '" + vm->process().name() + "' (";
    check(wait_until([&] {
            return vm->process().is_attached() &&
                   sidecar_.log().find(attached) != std::string::npos;
          }),
          vm->process().name() + " is attached again");
  }
}

void Scene::start_vms() {
  for (int i = 0; i < kVms; ++i) {
    vms_.push_back(std::make_unique<Vm>(sidecar_, directory_, "vm-" + std::to_string(i)));
    VmProcess& vm = vms_.back()->process();
    check(wait_until([&] { return vm.log().ready.load() != 0 && vm.is_attached(); }),
          vm.name() + " is attached");
    vms_.back()->judge_with(story_);
  }
}

// How long verdicts took that were given meanwhile, of all VMs.
void Scene::load_for(const std::string& when, seconds time) {
  (void)story_.take_latencies();
  const std::uint64_t builtin = story_.decided_by_builtin();
  wait(time);
  const std::vector<std::uint64_t> took = story_.take_latencies();
  if (!check(!took.empty(), when + ": events are told")) return;
  std::printf("     %s: verdicts in %ld s, signal to outcome, %s\n", when.c_str(),
              static_cast<long>(time.count()), kill::summary(took).c_str());
  // A loop that waits for the disk would leave them to the fallback. A few may be: the
  // deadline is in real time, and this machine is emulated on whatever its host has left.
  const std::uint64_t late = story_.decided_by_builtin() - builtin;
  check(late * 20 <= took.size(),
        when + ": verdicts are the sidecar's, but " + std::to_string(late));
}

void Scene::settle(const std::string& when) {
  for (const auto& vm : vms_) vm->process().pause();
  const bool idle = wait_until([&] {
    return std::ranges::all_of(vms_, [](const auto& vm) { return vm->process().is_idle(); });
  });
  check(idle, when + ": every wait has ended");
  check(wait_until([&] {
          return std::ranges::all_of(
              vms_, [](const auto& vm) { return vm->judge().missing(Fate::kIdle) == 0; });
        }),
        when + ": each incident has its event");
  for (const auto& vm : vms_) vm->judge().judge(Fate::kIdle);
  check(story_.complaints().empty(), when + ": none is told twice, or wrong");
  for (const std::string& one : story_.complaints()) std::printf("     %s\n", one.c_str());
  for (const auto& vm : vms_) vm->process().go_on();
}

void Scene::fault(const std::string& name, const std::string& reason,
                  const std::function<void()>& break_it, const std::function<void()>& mend_it) {
  std::printf("-- %s\n", name.c_str());
  const std::size_t again = said("well again");
  const std::size_t degraded = said("DEGRADED: " + reason);
  const std::uint64_t outages = story_.outages();
  const std::uint64_t not_durable = story_.not_durable();
  break_it();
  check(wait_until([&] { return said("DEGRADED: " + reason) > degraded; }),
        name + ": degraded, and it is said why: " + reason);
  load_for(name, seconds(3));
  check(story_.not_durable() > not_durable, name + ": events are told as not durable");
  mend_it();
  check(wait_until([&] { return said("well again") > again; }), name + ": well again by itself");
  check(wait_until([&] { return story_.outages() > outages; }),
        name + ": an event tells what was at risk");
  std::printf("     %lu event(s) were at risk\n", story_.at_risk_last());
  settle(name);
}

bool is_read_only(const std::string& path) {
  struct statvfs about{};
  return ::statvfs(path.c_str(), &about) == 0 && (about.f_flag & ST_RDONLY) != 0;
}

// The file stays: in its sandbox memfaild has no name for it.
bool nobody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const shm::UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
}

// The thread is in the kernel, where nothing ends it. All that others could wait for ends.
void Scene::end_while_it_hangs() {
  std::printf("-- SIGTERM while the disk hangs\n");
  device_.hang(90);
  wait(seconds(2));
  sidecar_.child().signal(SIGTERM);
  check(wait_until([&] { return said("and cannot be ended") != 0; }), "SIGTERM ends all the rest");
  check(nobody_listens(sidecar_.vms()), "nobody listens on its socket");
  wait(seconds(1));  // the fallback decides
  device_.let_go();
  check(wait_until([&] { return !sidecar_.alive(); }), "the process is gone once the disk is back");
  start_sidecar();
  settle("the next start");
}

// ext4 gives up for good when its own journal cannot be written: only a new mount helps.
void Scene::survive_an_aborted_file_system() {
  std::printf("-- a file system that gives up\n");
  const std::size_t degraded = said("DEGRADED");
  device_.fail_all();
  run("touch " + device_.mount + "/journal.probe 2>/dev/null; sync -f " + device_.mount +
      " 2>/dev/null; true");
  check(wait_until([&] { return said("DEGRADED") > degraded; }), "degraded");
  device_.good();
  wait(seconds(2));
  check(story_.complaints().empty(), "events are told all the same");
  sidecar_.child().signal(SIGTERM);
  check(wait_until([&] { return !sidecar_.alive(); }), "SIGTERM ends it");
  run("umount " + device_.mount + " && mount -t ext4 -o lazytime,commit=300 /dev/mapper/" +
      device_.name + " " + device_.mount);
  start_sidecar();
  settle("the next start");
}

void Scene::run_all(seconds hang) {
  start_sidecar();
  start_vms();
  wait(seconds(1));
  load_for("before", std::min(hang, seconds(10)));
  settle("before");
  fault(
      "write errors", "Input/output error", [&] { device_.fail_writes(); },
      [&] { device_.good(); });
  // What is not in memory must be read before it can be written in part: EIO at pwrite().
  fault(
      "a dead disk", "Input/output error",
      [&] {
        device_.fail_all();
        run("echo 3 >/proc/sys/vm/drop_caches");
      },
      [&] { device_.good(); });
  fault(
      "read-only", "Read-only file system",
      [&] {
        run("echo u >/proc/sysrq-trigger");
        check(wait_until([&] { return is_read_only(device_.mount); }), "it is read-only");
      },
      [&] { run("mount -o remount,rw " + device_.mount); });
  fault(
      "a hung disk", "the disk does not answer",
      [&] { device_.hang(static_cast<int>(hang.count()) + 60); },
      [&] {
        load_for("while it hangs", hang);
        device_.let_go();
      });
  load_for("afterwards", std::min(hang, seconds(10)));
  end_while_it_hangs();
  survive_an_aborted_file_system();
  std::printf(
      "%lu events in all, %lu of them told as not durable at first, %lu outages, %lu "
      "decided by the fallback\n",
      story_.events(), story_.not_durable(), story_.outages(), story_.decided_by_builtin());
}

}  // namespace
}  // namespace memfail::lab

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc != 6) {
    std::fprintf(stderr, "usage: memfail-lab-disk-faults DEVICE SECTORS NAME MOUNT HANG_S\n");
    return 2;
  }
  memfail::lab::Scene scene(memfail::lab::Device{argv[1], argv[2], argv[3], argv[4]});
  scene.run_all(std::chrono::seconds(std::strtoul(argv[5], nullptr, 10)));
  std::printf("%d wrong\n", memfail::lab::failures);
  return memfail::lab::failures == 0 ? 0 : 1;
}
