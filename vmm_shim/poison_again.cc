// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/poison_again.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <expected>

#include "shm/unique_fd.h"
#include "vmm_shim/drop_page.h"
#include "vmm_shim/guest_range.h"

namespace memfail::shim {
namespace {

// From Linux 6.6 on; the headers are older.
struct UffdioPoison {
  uffdio_range range;
  std::uint64_t mode;
  std::int64_t updated;  // bytes that were marked, or negative errno
};
constexpr std::uint64_t kFeaturePoison = 1U << 14;
constexpr unsigned long kUffdioPoison = _IOWR(UFFDIO, 0x08, UffdioPoison);
static_assert(kUffdioPoison == 0xC020AA08);
#ifdef UFFDIO_POISON
static_assert(kUffdioPoison == UFFDIO_POISON && kFeaturePoison == UFFD_FEATURE_POISON);
#endif

PageOutcome cannot_open(int error) {
  const bool missing = error == ENOSYS || error == EINVAL;
  if (missing) return {PageResult::kKernelTooOld, error};
  if (error == EPERM || error == EACCES) return {PageResult::kNotPermitted, error};
  return {PageResult::kNotMarked, error};  // EMFILE, ENOMEM, …
}

// A userfaultfd that can poison. Faults of the kernel itself are none of its business:
// for those it would ask for CAP_SYS_PTRACE, and the mark it leaves acts on them all the
// same.
std::expected<shm::UniqueFd, PageOutcome> open_userfaultfd() {
  shm::UniqueFd fd(
      static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
  if (!fd.valid()) return std::unexpected(cannot_open(errno));
  uffdio_api api{UFFD_API, kFeaturePoison, 0};
  if (::ioctl(fd.get(), UFFDIO_API, &api) != 0) {
    return std::unexpected(PageOutcome{PageResult::kKernelTooOld, errno});
  }
  return fd;
}

// Owns the watch over a range: a child forked meanwhile would hold it open otherwise.
class Watch {
 public:
  Watch(int fd, const uffdio_range& range) : fd_(fd), range_(range) {
    uffdio_register request{range, UFFDIO_REGISTER_MODE_MISSING, 0};
    if (::ioctl(fd, UFFDIO_REGISTER, &request) != 0) error_ = errno;
  }
  ~Watch() {
    if (error_ == 0) ::ioctl(fd_, UFFDIO_UNREGISTER, &range_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  [[nodiscard]] int error() const { return error_; }

 private:
  int fd_;
  uffdio_range range_;
  int error_ = 0;
};

PageOutcome mark(int fd, const uffdio_range& range) {
  UffdioPoison request{range, 0, 0};
  if (::ioctl(fd, kUffdioPoison, &request) == 0) return {};
  return {errno == EEXIST ? PageResult::kPagePresent : PageResult::kNotMarked, errno};
}

PageOutcome drop_and_mark(int fd, const uffdio_range& range) {
  const Watch watch(fd, range);
  if (watch.error() == EBUSY) return {PageResult::kWatched, EBUSY};
  if (watch.error() != 0) return {PageResult::kNotMarked, watch.error()};
  if (const int error = drop_pages(range.start, range.len); error != 0) {
    return {PageResult::kNotDropped, error};
  }
  return mark(fd, range);
}

}  // namespace

PageOutcome poison_again(const decision::Region& region, std::uint64_t hva, std::uint64_t size) {
  if (const auto refusal = refuse_range(region, hva, size)) return *refusal;
  if (((hva | size) & (region.page_size - 1)) != 0) return {PageResult::kPartOfPage, 0};
  const auto fd = open_userfaultfd();
  if (!fd) return fd.error();
  const PageOutcome outcome = drop_and_mark(fd->get(), {hva, size});
  if (!outcome.done()) return outcome;
  const int error = probe_pages(hva, size);
  if (error == EHWPOISON) return {};
  return {error == 0 ? PageResult::kNotPoisoned : PageResult::kNotVerified, error};
}

}  // namespace memfail::shim
