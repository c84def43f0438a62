// SPDX-License-Identifier: BSD-3-Clause
//
// The VM goes to another host, and its broken pages are broken there too. Both hosts are
// this process; the marks on the destination are real in any case.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/plays.h"
#include "vmm_shim/reference/unique_fd.h"

namespace memfail::reference {
namespace {

// As in a postcopy migration: memory whose missing pages somebody else provides. Where
// there is no userfaultfd there are no marks either, and the import is refused for that.
UniqueFd held_by_postcopy(const Memory& memory) {
  UniqueFd fd(
      static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
  if (fd.get() < 0) return fd;
  uffdio_api api{UFFD_API, 0, 0};
  must(ioctl(fd.get(), UFFDIO_API, &api), "UFFDIO_API");
  uffdio_register range{{memory.hva(), memory.size()}, UFFDIO_REGISTER_MODE_MISSING, 0};
  must(ioctl(fd.get(), UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
  return fd;
}

// A page breaks while the VM is on its way out: the guest has not heard of it.
void break_untold(Stage& stage, std::uint32_t offset, std::size_t incidents) {
  stage.vmm().failures().vm_running(false);
  stage.vcpu_told_of_broken(0, offset);
  stage.expect_incidents(incidents);
}

// The kernel would give nobody the destination's page. Asked without a load.
void expect_marked(Stage& stage, std::uint32_t offset) {
  stage.expect("a page that is broken there", [&] {
    return madvise(stage.destination().data() + offset, 4096, MADV_POPULATE_READ) < 0 &&
           errno == EHWPOISON;
  });
}

}  // namespace

// The guest was told of one page before, and not yet of another.
void play_migration(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  break_untold(stage, kSecondPage, 2);
  std::string why;
  const int pages = stage.migrate(why);
  stage.expect("two pages to be broken there", [pages] { return pages == 2; });
  if (pages < 0) die("the destination refuses: " + why);
  expect_marked(stage, kFirstPage);
  expect_marked(stage, kSecondPage);
  stage.arrive();
  stage.expect_banks(0, 1);  // of the second
  stage.expect_out_of_handler(0);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_incidents(2);
}

// The destination cannot make the page broken, and a clean one there would be taken for
// the guest's data. The VM stays, and is told here.
void play_migration_refused(Stage& stage) {
  break_untold(stage, kFirstPage, 1);
  UniqueFd postcopy;
  std::string why;
  const int pages =
      stage.migrate(why, [&](const Memory& memory) { postcopy = held_by_postcopy(memory); });
  stage.vmm().timeline().note("the destination refuses: " + why);
  stage.expect("the destination's refusal", [pages] { return pages == -EOPNOTSUPP; });
  stage.stay();
  stage.expect_banks(0, 1);
  stage.expect_incidents(2);
}

}  // namespace memfail::reference
