// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/front_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "shm/crc32c.h"
#include "sidecar/journal/id_text.h"
#include "sidecar/journal/incident_id.h"

namespace memfail::journal {
namespace {

using Refused = std::unexpected<FrontRefusal>;
using Checked = std::expected<void, FrontRefusal>;

class FrontFile {
 public:
  explicit FrontFile(const FrontRequest& request) : request_(request) {}

  std::expected<OpenFront, FrontRefusal> open();

 private:
  Checked open_file();
  Checked check_file();
  Checked lock();
  Checked make();
  Checked read_header();
  Checked check_header();
  Checked renew_if_empty();
  std::expected<OpenFront, FrontRefusal> map();
  std::expected<OpenFront, FrontRefusal> check_words(OpenFront opened);

  Refused refuse(FrontProblem problem, const std::string& what) const {
    return Refused({problem, "front " + request_.path + ": " + what});
  }
  Refused failed(const std::string& what) const {
    return refuse(FrontProblem::kRefused, what + ": " + std::strerror(errno));
  }

  const FrontRequest& request_;
  shm::UniqueFd fd_;
  std::uint64_t size_ = 0;
  FrontHeader header_;
  bool fresh_ = false;
};

std::uint32_t header_crc(const FrontHeader& header) {
  constexpr std::size_t kFrom = offsetof(FrontHeader, capacity);
  return shm::crc32c(0, std::as_bytes(std::span(&header, 1)).subspan(kFrom));
}

// Nothing yet, or a file whose making was cut off: its header is written last, at once.
bool is_blank(int fd, std::uint64_t size, std::size_t asked) {
  if (size != 0 && size != asked + kFrontHeaderSize) return false;
  constexpr std::array<char, kFrontHeaderSize> kZeros{};
  std::array<char, kFrontHeaderSize> page{};
  const ssize_t got = pread(fd, page.data(), page.size(), 0);
  return got >= 0 && std::memcmp(page.data(), kZeros.data(), static_cast<std::size_t>(got)) == 0;
}

Checked FrontFile::open_file() {
  fd_.reset(::open(request_.path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                   S_IRUSR | S_IWUSR));
  if (fd_.valid()) return {};
  if (errno == ELOOP) {
    return refuse(FrontProblem::kNotOurs, "is a symbolic link: name the file itself");
  }
  return failed("cannot be opened or made");
}

Checked FrontFile::check_file() {
  struct stat status{};
  if (fstat(fd_.get(), &status) != 0) return failed("fstat");
  if (!S_ISREG(status.st_mode)) {
    return refuse(FrontProblem::kNotOurs, "is not a regular file: choose another path");
  }
  if (status.st_uid != geteuid()) {
    return refuse(FrontProblem::kNotOurs, "belongs to uid " + std::to_string(status.st_uid) +
                                              ", not to uid " + std::to_string(geteuid()) +
                                              ": remove it, or run as its owner");
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 || status.st_nlink != 1) {
    return refuse(FrontProblem::kNotOurs,
                  "may be opened by others (mode or links): remove it, it is made with mode 0600");
  }
  struct statfs system{};
  if (fstatfs(fd_.get(), &system) != 0) return failed("fstatfs");
  if (system.f_type != TMPFS_MAGIC) {
    return refuse(FrontProblem::kRefused,
                  "is not on a tmpfs, and a disk must never hold up a verdict: choose a path in "
                  "/run or /dev/shm");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
  return {};
}

Checked FrontFile::lock() {
  struct flock region{};
  region.l_type = F_WRLCK;
  region.l_whence = SEEK_SET;
  if (fcntl(fd_.get(), F_OFD_SETLK, &region) == 0) return {};
  if (errno != EAGAIN && errno != EACCES) return failed("cannot be locked");
  return refuse(FrontProblem::kLocked, "is in use by another memfaild: end that one first");
}

Checked FrontFile::make() {
  size_ = kFrontHeaderSize + request_.capacity;
  // To nothing first: what an earlier front held is zeros from here on.
  if (ftruncate(fd_.get(), 0) != 0) return failed("cannot be emptied");
  const int error = posix_fallocate(fd_.get(), 0, static_cast<off_t>(size_));
  if (error != 0) {
    errno = error;
    return failed("no room for " + std::to_string(size_) + " bytes on its tmpfs");
  }
  header_ = {};
  header_.magic = kFrontMagic;
  header_.version = kFrontVersion;
  header_.capacity = request_.capacity;
  const wire::Id128& journal = request_.journal.value_or(request_.new_journal);
  header_.journal_low = journal.low();
  header_.journal_high = journal.high();
  header_.boot_low = request_.boot.low();
  header_.boot_high = request_.boot.high();
  header_.crc = header_crc(header_);
  // One call, and less than a page: a kill comes before or after it.
  if (pwrite(fd_.get(), &header_, sizeof header_, 0) != sizeof header_) {
    return failed("its header cannot be written");
  }
  fresh_ = true;
  return {};
}

Checked FrontFile::read_header() {
  if (pread(fd_.get(), &header_, sizeof header_, 0) != sizeof header_ ||
      header_.magic != kFrontMagic) {
    return refuse(FrontProblem::kNotOurs, "is not a front of memfaild: choose another path");
  }
  if (header_.version > kFrontVersion) {
    return refuse(FrontProblem::kNewer, "is of version " + std::to_string(header_.version) +
                                            ", this memfaild knows " +
                                            std::to_string(kFrontVersion) +
                                            ": run the newer one, or remove it and what it holds");
  }
  if (header_.version != kFrontVersion || header_.crc != header_crc(header_) ||
      header_.capacity < FrontRequest::kMinCapacity || header_.capacity % 8 != 0 ||
      header_.capacity + kFrontHeaderSize != size_) {
    return refuse(FrontProblem::kDamaged, "its header is damaged (version " +
                                              std::to_string(header_.version) + ", " +
                                              std::to_string(size_) + " bytes): remove it");
  }
  return {};
}

Checked FrontFile::check_header() {
  const wire::Id128 boot(header_.boot_low, header_.boot_high);
  if (!same_id(boot, request_.boot)) {
    return refuse(FrontProblem::kOtherBoot, "was made in another boot of the host (" +
                                                id_text(boot) + "), so it is a copy: remove it");
  }
  const wire::Id128 journal(header_.journal_low, header_.journal_high);
  if (request_.journal && !same_id(journal, *request_.journal)) {
    return refuse(FrontProblem::kOtherJournal,
                  "holds records of journal " + id_text(journal) + ", not of " +
                      id_text(*request_.journal) +
                      ": start with that journal once, or remove the front and lose them");
  }
  return {};
}

std::expected<OpenFront, FrontRefusal> FrontFile::map() {
  void* address =
      mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
  if (address == MAP_FAILED) return failed("cannot be mapped");
  const wire::Id128 journal(header_.journal_low, header_.journal_high);
  return OpenFront{Front(std::move(fd_), shm::Mapping(address, size_), journal), fresh_, 0};
}

// Head and tail as our last life left them, and every frame between.
std::expected<OpenFront, FrontRefusal> FrontFile::check_words(OpenFront opened) {
  Front& front = opened.front;
  const std::uint64_t head = front.head();
  const std::uint64_t tail = front.tail();
  if (head % kFrameAlignment != 0 || tail % kFrameAlignment != 0 || tail > head ||
      head - tail > front.capacity()) {
    return refuse(FrontProblem::kDamaged, "head " + std::to_string(head) + " and tail " +
                                              std::to_string(tail) +
                                              " contradict each other: remove it");
  }
  FrontItem item{FrontRead::kRecord, {}, tail};
  while (item.state == FrontRead::kRecord) item = front.read(item.next);
  if (item.state == FrontRead::kDamaged) {
    opened.damaged = head - item.next;
    front.cut(item.next);
  }
  return opened;
}

// One that holds no record is made anew where it is not what is asked for: nothing would
// be lost. With records it keeps its size.
Checked FrontFile::renew_if_empty() {
  std::array<std::uint64_t, 2> words{};
  if (pread(fd_.get(), &words[0], 8, kFrontHeadOffset) != 8 ||
      pread(fd_.get(), &words[1], 8, kFrontTailOffset) != 8) {
    return failed("cannot be read");
  }
  if (words[0] != words[1]) return {};
  const bool used_before = words[0] != 0;
  const bool other_boot = !same_id({header_.boot_low, header_.boot_high}, request_.boot);
  const bool other_journal =
      request_.journal ? !same_id({header_.journal_low, header_.journal_high}, *request_.journal)
                       : used_before;
  const bool other_size = header_.capacity != request_.capacity;
  return other_boot || other_journal || other_size ? make() : Checked();
}

std::expected<OpenFront, FrontRefusal> FrontFile::open() {
  if (request_.capacity < FrontRequest::kMinCapacity || request_.capacity % 4096 != 0) {
    return refuse(FrontProblem::kRefused, "a size of " + std::to_string(request_.capacity) +
                                              " bytes is not possible: a multiple of 4096 from " +
                                              std::to_string(FrontRequest::kMinCapacity) +
                                              " on is");
  }
  Checked step = open_file();
  if (step) step = check_file();
  if (step) step = lock();
  if (step && is_blank(fd_.get(), size_, request_.capacity)) {
    step = make();
  } else {
    for (Checked (FrontFile::*check)() :
         {&FrontFile::read_header, &FrontFile::renew_if_empty, &FrontFile::check_header}) {
      if (step) step = (this->*check)();
    }
  }
  if (!step) return std::unexpected(step.error());
  auto opened = map();
  if (!opened) return opened;
  return check_words(std::move(*opened));
}

}  // namespace

std::expected<OpenFront, FrontRefusal> open_front(const FrontRequest& request) {
  shm::crc32c_prepare();
  return FrontFile(request).open();
}

}  // namespace memfail::journal
