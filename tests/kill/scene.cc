// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/scene.h"

#include <poll.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace memfail::kill {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// For what must happen at all; nothing is asked to be quick.
constexpr std::chrono::seconds kPatience{60};
constexpr microseconds kLook{2000};

std::string make_directory() {
  // The front wants a tmpfs.
  std::string path = "/dev/shm/memfail-kill-XXXXXX";
  return ::mkdtemp(path.data()) == nullptr ? "" : path;
}

}  // namespace

Scene::Scene()
    : directory_(make_directory()), sidecar_(directory_), reader_(sidecar_.events(), story_) {}

Scene::~Scene() {
  vm_.reset();
  sidecar_.kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void Scene::wait(microseconds time) {
  const auto until = Clock::now() + time;
  do {
    if (looking_) reader_.pump();
    const auto left = std::chrono::duration_cast<microseconds>(until - Clock::now());
    if (left <= microseconds::zero()) return;
    const auto nap = std::min(left, kLook);
    const timespec limit{0, nap.count() * 1000};
    std::array<pollfd, 1> one{{{reader_.fd(), POLLIN, 0}}};
    ::ppoll(one.data(), one.size(), &limit, nullptr);
  } while (true);
}

bool Scene::wait_until(const std::function<bool()>& condition) {
  const auto limit = Clock::now() + kPatience;
  while (!condition()) {
    if (Clock::now() > limit) return false;
    wait(kLook / 4);
  }
  return true;
}

// To this sidecar: its own word counts, as the VM may have come back by itself already, or
// may not have seen yet that the last one is gone.
bool Scene::attach() {
  vm_->command(kAttachNow);
  const std::string start = "VM '" + vm_->name() + "' (";
  const auto is_attached = [&] {
    return vm_->is_attached() && sidecar_.log().find(start) != std::string::npos;
  };
  if (wait_until([&] { return !vm_->alive() || is_attached(); }) && vm_->alive()) return true;
  story_.complain(vm_->alive() ? "the VM does not attach" : "the VM died");
  return false;
}

bool Scene::start_sidecar() {
  if (!sidecar_.start()) {
    story_.complain("the sidecar does not serve: " + sidecar_.log());
    return false;
  }
  return vm_ == nullptr || attach();
}

bool Scene::replace_sidecar() {
  sidecar_.kill();
  ++sidecars_lost_;
  // Before the next one is there: what the dead one had sent is read to its end.
  if (looking_) reader_.pump();
  return start_sidecar();
}

bool Scene::start_vm(const Pace& pace) {
  const std::string name = "load-" + std::to_string(++vms_);
  vm_ = std::make_unique<VmProcess>(sidecar_.vms(), name, directory_ + "/vm.log", pace);
  if (!wait_until([&] { return vm_->log().ready.load() != 0 || !vm_->alive(); })) return false;
  if (!vm_->alive()) return false;
  judge_ = std::make_unique<Judge>(vm_->log(), vm_->session(), story_);
  return vm_->is_attached() || attach();
}

bool Scene::read_all_events() {
  const auto published = reader_.published();
  return published && wait_until([&] {
           return story_.journal() == published->journal && story_.next_seq() >= published->next;
         });
}

std::uint64_t Scene::first_seq() const {
  const auto published = reader_.published();
  return published ? published->first : 0;
}

// A cell is retired when its event is on record; readers have it when it is durable.
bool Scene::has_all_events(Fate fate) {
  const std::uint64_t lives = std::exchange(sidecars_lost_, 0);
  if (wait_until([&] { return judge_->missing(fate) == 0; })) return true;
  story_.complain(std::to_string(judge_->missing(fate)) + " incidents have no event, after " +
                  std::to_string(lives) + " deaths of the sidecar");
  return false;
}

bool Scene::judge(Fate fate) {
  const bool read = read_all_events();
  if (!read) story_.complain("no events can be had");
  const bool all = has_all_events(fate);
  judge_->judge(fate);
  return read && all && story_.complaints().empty();
}

bool Scene::settle() {
  vm_->pause();
  if (!wait_until([&] { return vm_->is_idle() || !vm_->alive(); }) || !vm_->alive()) {
    story_.complain("the VM does not come to rest: " + std::to_string(vm_->log().parked.load()) +
                    " lanes have");
    return false;
  }
  return judge(Fate::kIdle);
}

bool Scene::bury_vm(bool attached) {
  if (attached) {
    const std::string exited = "VM '" + vm_->name() + "' exited";
    if (!wait_until([&] { return sidecar_.log().find(exited) != std::string::npos; })) {
      story_.complain("the sidecar does not say that the VM exited");
    }
  }
  const bool good = judge(attached ? Fate::kDied : Fate::kAlone);
  judge_.reset();
  vm_.reset();
  return good;
}

std::uint64_t Scene::slices() {
  const std::uint32_t before = vm_->log().asked.load();
  vm_->command(kSayState);
  wait_until([&] { return vm_->log().asked.load() != before || !vm_->alive(); });
  return vm_->log().slices.load();
}

}  // namespace memfail::kill
