// SPDX-License-Identifier: BSD-3-Clause
//
// Pages that really broke, and what the shim does to them: replaced (vmm_shim/repair.h),
// refused, and, where the kernel can, poisoned again without a failure
// (vmm_shim/poison_again.h). One line a check; exit 0 only if every check holds. Runs
// inside the lab (jobs/repair), as root.
#include "vmm_shim/repair.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <expected>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "tests/unit/shim/backed_ram.h"
#include "vmm_shim/drop_page.h"
#include "vmm_shim/poison_again.h"

namespace {

using memfail::shim::PageOutcome;
using memfail::shim::PageResult;
using memfail::shim::poison_again;
using memfail::shim::probe_pages;
using memfail::shim::repair_page;
using memfail::test::BackedRam;
using memfail::test::kRamKinds;
using memfail::test::ram_kind_name;
using memfail::test::RamKind;
namespace decision = memfail::decision;

constexpr std::uint64_t kHugePage = std::uint64_t{2} << 20;

int failures = 0;

bool check(bool ok, const std::string& what, const std::string& seen) {
  std::printf("%-4s %s: %s\n", ok ? "ok" : "FAIL", what.c_str(), seen.c_str());
  failures += ok ? 0 : 1;
  return ok;
}

// What a check rests on: said only where it does not hold.
bool must(bool ok, const std::string& what, const char* missing) {
  return ok || check(false, what, missing);
}

std::string text_of(const PageOutcome& outcome) {
  return std::string(page_result_name(outcome.result)) +
         (outcome.number != 0 ? std::string(", ") + std::strerror(outcome.number) : "");
}

std::string text_of(int error) { return error == 0 ? "a page" : std::strerror(error); }

// What the kernel says is at a page.
int probe(const BackedRam& ram, std::uint64_t page) {
  return probe_pages(ram.hva(page), ram.page_size());
}

PageOutcome repair(const BackedRam& ram, std::uint64_t page, std::uint16_t flags = 0) {
  return repair_page(ram.region(flags), ram.hva(page), ram.page_size());
}

bool poison(const std::string& what, const BackedRam& ram, std::uint64_t page) {
  auto* at = reinterpret_cast<void*>(ram.hva(page));
  if (::madvise(at, ram.page_size(), MADV_HWPOISON) != 0) {
    return check(false, what + ", MADV_HWPOISON", std::strerror(errno));
  }
  const int error = probe(ram, page);
  if (error == EHWPOISON) return true;
  return check(false, what + ", after MADV_HWPOISON", text_of(error));
}

// What a case works on; that there is none is a failure.
std::optional<BackedRam> need(const std::string& what, std::expected<BackedRam, std::string> ram) {
  if (ram) return std::move(*ram);
  check(false, what, ram.error());
  return std::nullopt;
}

// Whether page `page` is new and clean, takes and keeps a byte, and all others are as
// they were filled.
bool is_replaced(const BackedRam& ram, std::uint64_t page) {
  if (probe(ram, page) != 0 || !ram.is_zero(page)) return false;
  for (std::uint64_t other = 0; other < ram.pages(); ++other) {
    if (other != page && !ram.has_pattern(other)) return false;
  }
  auto* byte = reinterpret_cast<volatile char*>(ram.hva(page));
  *byte = 'x';
  return *byte == 'x';
}

void check_replaced(const std::string& what, const BackedRam& ram, std::uint64_t page,
                    const PageOutcome& outcome) {
  const bool ok = outcome.done() && is_replaced(ram, page);
  check(ok, what, text_of(outcome) + (ok ? ", zero, its neighbours whole" : ""));
}

// --- Each kind ----------------------------------------------------------------

// Whether the kernel has made a huge page of it; else its case proves nothing new.
bool has_huge_page(const BackedRam& ram) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool here = false;
  while (std::getline(smaps, line)) {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2) {
      here = ram.hva() >= start && ram.hva() < end;
    }
    if (here && line.starts_with("AnonHugePages:")) return line.find(" 2048 kB") != line.npos;
  }
  return false;
}

void check_kind(RamKind kind, bool locked) {
  const std::string what = std::string(ram_kind_name(kind)) + (locked ? ", locked" : "");
  const auto ram = need(what, BackedRam::make(kind, 3));
  if (!ram || (locked && !must(ram->lock(), what, "mlock does not work"))) return;
  if (kind == RamKind::kTransparentHuge && !must(has_huge_page(*ram), what, "no huge page")) return;
  if (poison(what, *ram, 1)) check_replaced(what, *ram, 1, repair(*ram, 1));
}

// --- Mappings -----------------------------------------------------------------

// Both have met the broken page, so that both page tables have the kernel's mark.
void check_second_mapping(RamKind kind) {
  const std::string what = std::string(ram_kind_name(kind)) + ", mapped twice";
  const auto ram = need(what, BackedRam::make(kind, 3));
  if (!ram) return;
  const auto again = need(what, ram->map_again());
  if (!again || !must(again->has_pattern(1), what, "not the same pages")) return;
  if (!poison(what, *ram, 1)) return;
  check(probe(*again, 1) == EHWPOISON, what + ", the other one", text_of(probe(*again, 1)));
  const PageOutcome outcome = repair(*ram, 1);
  check(outcome.done() && probe(*again, 1) == 0 && again->is_zero(1) && again->has_pattern(2),
        what + ", the other one after the repair", text_of(probe(*again, 1)));
  check_replaced(what, *ram, 1, outcome);
}

// A deleted file, as VMMs have it, and its pages; none of it where there is none.
std::optional<BackedRam> deleted_file(const char* path, std::uint64_t page_size) {
  const memfail::shm::UniqueFd file(::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ::unlink(path);
  if (!file.valid() || ::ftruncate(file.get(), static_cast<off_t>(3 * page_size)) != 0) {
    check(false, path, std::strerror(errno));
    return std::nullopt;
  }
  auto ram = need(path, BackedRam::map_file(file.get(), page_size, 3, MAP_SHARED));
  if (ram) ram->fill();
  return ram;
}

void check_hugetlbfs_file() {
  const std::string what = "deleted file on hugetlbfs";
  const auto ram = deleted_file("/huge/guest ram", kHugePage);
  if (ram && poison(what, *ram, 1)) check_replaced(what, *ram, 1, repair(*ram, 1));
}

// --- Refusals -----------------------------------------------------------------

void check_refused(const std::string& what, const BackedRam& ram, const PageOutcome& outcome,
                   PageResult wanted) {
  const int error = probe(ram, 1);
  check(outcome.result == wanted && error == EHWPOISON && ram.has_pattern(0), what,
        text_of(outcome) + ", then " + text_of(error));
}

void check_flags() {
  const auto ram = need("a region's flags", BackedRam::make(RamKind::kAnonymous, 3));
  if (!ram || !poison("a region's flags", *ram, 1)) return;
  const std::array<std::pair<std::uint16_t, PageResult>, 5> flags{{
      {decision::kRegionReadOnly, PageResult::kReadOnly},
      {decision::kRegionPrivateFile, PageResult::kPrivateFile},
      {decision::kRegionPersistent, PageResult::kPersistent},
      {decision::kRegionPinned, PageResult::kPinned},
      {decision::kRegionNoHva, PageResult::kNoHva},
  }};
  for (const auto& [flag, wanted] : flags) {
    check_refused(std::string("region ") + page_result_name(wanted), *ram, repair(*ram, 1, flag),
                  wanted);
  }
  check_replaced("the same region without flags", *ram, 1, repair(*ram, 1));
}

void check_private_file() {
  const std::string what = "private mapping of a memfd";
  const auto file = need(what, BackedRam::make(RamKind::kMemfd, 3));
  if (!file) return;
  const auto ram = need(what, BackedRam::map_file(file->fd(), 4096, 3, MAP_PRIVATE));
  if (!ram || !must(ram->has_pattern(1), what, "not the same pages")) return;
  if (!poison(what, *ram, 1)) return;
  check_refused(what, *ram, repair(*ram, 1), PageResult::kPrivateFile);
}

// Neither tmpfs nor hugetlbfs by its mount: the root folder of this machine.
void check_other_file_system() {
  const std::string what = "deleted file in the root folder";
  const auto ram = deleted_file("/guest ram", 4096);
  if (!ram || !poison(what, *ram, 1)) return;
  check_refused(what, *ram, repair(*ram, 1), PageResult::kNotMemory);
}

// --- The pool of huge pages -----------------------------------------------------

long meminfo(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    long value = 0;
    if (word == key + ":" && file >> value) return value;
  }
  return -1;
}

void set_pool(long pages) { std::ofstream("/proc/sys/vm/nr_hugepages") << pages; }

void check_empty_pool(RamKind kind) {
  const std::string what = std::string(ram_kind_name(kind)) + ", the pool is empty";
  const auto ram = need(what, BackedRam::make(kind, 2));
  if (!ram || !poison(what, *ram, 1)) return;
  const long before = meminfo("HugePages_Total");
  set_pool(before - meminfo("HugePages_Free"));
  if (!must(meminfo("HugePages_Free") == 0, what, "the pool is not empty")) return;
  check_refused(what, *ram, repair(*ram, 1), PageResult::kPoolEmpty);
  set_pool(before);
  check_replaced(what + " no more", *ram, 1, repair(*ram, 1));
}

// --- Poison without a failure -----------------------------------------------------

void check_poison_again(RamKind kind) {
  const std::string what = std::string(ram_kind_name(kind)) + ", poisoned by a mark";
  const auto ram = need(what, BackedRam::make(kind, 3));
  if (!ram) return;
  const PageOutcome outcome = poison_again(ram->region(), ram->hva(1), ram->page_size());
  if (outcome.result == PageResult::kKernelTooOld) {
    check(ram->has_pattern(1), what, text_of(outcome) + ", and the page is as it was");
    return;
  }
  if (!check(outcome.done() && probe(*ram, 1) == EHWPOISON, what, text_of(outcome))) return;
  check_replaced(what + ", repaired", *ram, 1, repair(*ram, 1));
}

// Newer kernels tell the caller of MADV_HWPOISON as if it had touched the page.
void ignore_signal(int /*number*/) {}

}  // namespace

int main() {
  ::signal(SIGBUS, ignore_signal);
  for (const bool locked : {false, true}) {
    for (const RamKind kind : kRamKinds) check_kind(kind, locked);
  }
  check_second_mapping(RamKind::kMemfd);
  check_second_mapping(RamKind::kMemfdHugetlb);
  check_hugetlbfs_file();
  check_flags();
  check_private_file();
  check_other_file_system();
  check_empty_pool(RamKind::kAnonymousHugetlb);
  check_empty_pool(RamKind::kMemfdHugetlb);
  for (const RamKind kind : kRamKinds) check_poison_again(kind);
  std::printf("%s\n", failures == 0 ? "all as expected" : "not all is as expected");
  return failures == 0 ? 0 : 1;
}
