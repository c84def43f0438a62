// SPDX-License-Identifier: BSD-3-Clause
//
// memfail-scenarios: plays every scenario with a real sidecar, tells what happened
// and says whether it is what should have happened.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "vmm_shim/reference/scenarios/director.h"
#include "vmm_shim/reference/scenarios/fail.h"
#include "vmm_shim/reference/scenarios/huge_pages.h"
#include "vmm_shim/reference/scenarios/judge.h"
#include "vmm_shim/reference/scenarios/own_policy.h"
#include "vmm_shim/reference/scenarios/report.h"
#include "vmm_shim/reference/scenarios/story.h"

namespace memfail::scenarios {
namespace {

constexpr int kNoKvm = 77;

struct Options {
  std::string memfaild, vmm, out, host;
  std::string poison = "signal";
  std::string policy = "recommended";
  std::string sandbox = "auto";
  std::vector<std::string> only;
};

// A folder for sockets: their paths must be short.
class SocketFolder {
 public:
  SocketFolder() {
    if (!mkdtemp(path_.data())) fail(path_);
  }
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;
  ~SocketFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/memfail-scenarios-XXXXXX";
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Plays memory failures of a small KVM guest with a real sidecar, one scenario after\n"
      "the other, tells what happened, and compares it with what should have happened.");
  app.footer(
      "Writes DIR/events.jsonl, DIR/report.json and the programs' logs. Exit status: 0 all\n"
      "is as it should be; 1 something is not, or cannot be run; 77 no /dev/kvm.");
  app.add_option("--memfaild", options.memfaild, "The sidecar's program")->required();
  app.add_option("--vmm", options.vmm, "memfail-vmm's program")->required();
  app.add_option("--out", options.out, "Where results go")->required();
  app.add_option("--poison", options.poison,
                 "signal: the kernel's exact SIGBUS, raised; hwpoison: really broken pages")
      ->check(CLI::IsMember({"signal", "hwpoison"}))
      ->capture_default_str();
  app.add_option("--host", options.host,
                 "lab: an emulated machine in which all but LMCE and CMCI "
                 "must be possible")
      ->check(CLI::IsMember({"lab"}));
  app.add_option("--policy", options.policy, "What memfaild decides by")
      ->check(CLI::IsMember({"recommended", "qemu"}))
      ->capture_default_str();
  app.add_option("--sandbox", options.sandbox, "memfaild's walls: its own option")
      ->check(CLI::IsMember({"auto", "strict", "none"}))
      ->capture_default_str();
  app.add_option("--only", options.only, "Only this scenario; may be given several times");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 1);
  }
  return options;
}

void need_kvm() {
  const int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    std::fprintf(stderr, "memfail-scenarios: /dev/kvm: %s; no guest can run here\n",
                 std::strerror(errno));
    std::exit(kNoKvm);
  }
  close(fd);
}

std::vector<const Expectation*> chosen(const Options& options) {
  const auto& only = options.only;
  std::vector<const Expectation*> result;
  for (const Expectation* row : expectations(options.policy)) {
    if (only.empty() || std::ranges::find(only, row->scenario) != only.end()) result.push_back(row);
  }
  if (result.size() < only.size()) {
    errno = EINVAL;
    fail("--only " + only.front() + " (memfail-vmm --list names the scenarios)");
  }
  return result;
}

int run(const Options& options) {
  need_kvm();
  const auto scenarios = chosen(options);
  std::filesystem::create_directories(options.out);
  const SocketFolder folder;
  const LentHugePages huge_pages;
  Sidecar sidecar({options.memfaild, policy_for(options.policy, folder.path()), options.sandbox},
                  folder.path(), options.out + "/memfaild.log");
  sidecar.start();

  const Paint paint(isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR"));
  const Host host{options.poison == "hwpoison", options.host == "lab"};
  const Stagehand hand{options.vmm, options.poison, options.policy,
                       options.out + "/memfail-vmm.log", folder.path()};
  std::vector<Outcome> outcomes;
  for (const Expectation* expected : scenarios) {
    const auto turn = static_cast<unsigned>(outcomes.size() + 1);
    Outcome outcome = play(*expected, turn, hand, sidecar);
    outcome.problems = judge(outcome, host);
    tell(outcome, paint);
    outcomes.push_back(std::move(outcome));
  }
  tell_summary(outcomes, paint);
  write_report(options.out + "/report.json", outcomes);
  write_events(options.out + "/events.jsonl", sidecar.lines());
  return std::ranges::all_of(outcomes, &Outcome::ok) ? 0 : 1;
}

}  // namespace
}  // namespace memfail::scenarios

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a VMM that has ended is seen by its exit status
  return memfail::scenarios::run(memfail::scenarios::parse(argc, argv));
}
