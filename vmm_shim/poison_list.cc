// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/poison_list.h"

#include <algorithm>

#include "sidecar/decision/region_map.h"

namespace memfail::shim {
namespace {

bool is_guests(const decision::Classification& where) {
  return where.address == decision::AddressClass::kGuestRam ||
         where.address == decision::AddressClass::kGuestRamUnmapped;
}

// A lost huge page is one entry, wherever in it the reports are.
std::uint64_t start_of(const decision::Classification& where) {
  return where.hva & ~(where.lost_size - 1);
}

PoisonedPage as_new(const PoisonedPage& page) {
  PoisonedPage fresh;
  fresh.hva = page.hva;
  fresh.gpa = page.gpa;
  fresh.size = page.size;
  return fresh;
}

void count_repeat(PoisonedPage& page, std::uint64_t hva, const PoisonList::Report& report,
                  std::uint64_t window_ns) {
  // Two vCPUs' reports need not be handled in the order of their times: one from before
  // the window counts in it.
  if (report.now_ns > page.window_ns && report.now_ns - page.window_ns > window_ns) {
    page.window_ns = report.now_ns;
    page.repeats = 0;
    page.round.reset();
    page.met.reset();
  }
  // A guest that goes through a huge page meets each small one once: that is progress.
  const std::size_t small = (hva - page.hva) / decision::kPageSize % page.met.size();
  const bool another = page.met.any() && !page.met[small];
  page.met.set(small);
  if (another) return;
  const auto vcpu = static_cast<std::size_t>(report.vcpu);
  if (report.vcpu < 0 || page.round.none() || page.round[vcpu]) {
    ++page.repeats;
    page.round.reset();
  }
  if (report.vcpu >= 0) page.round[vcpu] = true;
}

bool holds(const PoisonedPage& page, std::uint64_t hva) {
  return hva >= page.hva && hva - page.hva < page.size;
}

}  // namespace

void PoisonList::use(PoisonedPage* items, std::uint32_t capacity) {
  items_ = items;
  capacity_ = capacity;
}

PoisonedPage* PoisonList::find(std::uint64_t hva) const {
  PoisonedPage* const end = items_ + count_.load(std::memory_order_relaxed);
  PoisonedPage* const found =
      std::find_if(items_, end, [&](const PoisonedPage& page) { return holds(page, hva); });
  return found == end ? nullptr : found;
}

PoisonedPage* PoisonList::find_or_add(const decision::Classification& where) {
  if (PoisonedPage* known = find(where.hva); known != nullptr) return known;
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  if (count == capacity_) {
    note_left_out();
    return nullptr;
  }
  const std::uint64_t start = start_of(where);
  const bool mapped = where.gpa != wire::kNoAddress;
  items_[count] = {};
  items_[count].hva = start;
  items_[count].gpa =
      mapped ? where.gpa - ((where.hva & ~(decision::kPageSize - 1)) - start) : wire::kNoAddress;
  items_[count].size = where.lost_size;
  count_.store(count + 1, std::memory_order_release);
  return &items_[count];
}

void PoisonList::count_repairs() {
  PoisonedPage* const end = items_ + count_.load(std::memory_order_relaxed);
  const auto count = std::count_if(items_, end, [](const PoisonedPage& page) {
    return page.repair != wire::Repair::none && page.said_in == 0;
  });
  repairs_.store(static_cast<std::uint32_t>(count), std::memory_order_release);
}

void PoisonList::count_to_tell() {
  PoisonedPage* const end = items_ + count_.load(std::memory_order_relaxed);
  const auto count =
      std::count_if(items_, end, [](const PoisonedPage& page) { return page.to_tell; });
  to_tell_.store(static_cast<std::uint32_t>(count), std::memory_order_release);
}

decision::History PoisonList::note_report(const decision::Classification& where,
                                          const Report& report, std::uint64_t window_ns) {
  decision::History history;
  if (!is_guests(where) || where.hva == wire::kNoAddress) return history;
  const shm::Locked lock(mutex_);
  const bool known = find(where.hva) != nullptr;
  PoisonedPage* const page = find_or_add(where);
  if (page == nullptr) return history;
  // Broken again, or after a drill: what the guest knows of that is no knowledge of it.
  const bool anew = page->repair == wire::Repair::repaired || (page->drill && !report.drill);
  if (anew) *page = as_new(*page);
  if (anew) count_repairs();
  if (anew) count_to_tell();
  if (anew || !known) page->drill = report.drill;
  history.known = page->reports++ != 0;
  if (page->first_ns == 0) page->first_ns = report.now_ns;
  page->last_ns = std::max(page->last_ns, report.now_ns);
  history.guest_told = page->told;
  if (report.severity == decision::Severity::kActionRequired) {
    count_repeat(*page, where.hva, report, window_ns);
    history.repeats = page->repeats;
  }
  return history;
}

void PoisonList::take_back_repeat(const decision::Classification& where, std::int32_t vcpu) {
  const shm::Locked lock(mutex_);
  PoisonedPage* const page = find(where.hva);
  if (page == nullptr) return;
  if (vcpu >= 0) page->round[static_cast<std::size_t>(vcpu)] = false;
  if (page->round.none() && page->repeats != 0) --page->repeats;
}

void PoisonList::note_told(const decision::Classification& where) {
  const shm::Locked lock(mutex_);
  PoisonedPage* const page = find(where.hva);
  if (page == nullptr) return;
  page->told = true;
  page->to_tell = false;
  count_to_tell();
}

void PoisonList::note_to_tell(const decision::Classification& where, bool to_tell) {
  const shm::Locked lock(mutex_);
  PoisonedPage* const page = find(where.hva);
  // A page that was repaired meanwhile is not broken any more.
  const bool may = page != nullptr && !page->told && page->repair != wire::Repair::repaired;
  if (page != nullptr) page->to_tell = to_tell && may;
  count_to_tell();
}

bool PoisonList::next_to_tell(std::uint32_t& cursor, PoisonedPage& page) const {
  const shm::Locked lock(mutex_);
  for (const std::uint32_t count = count_.load(std::memory_order_relaxed); cursor < count;) {
    const PoisonedPage& candidate = items_[cursor++];
    if (!candidate.to_tell) continue;
    page = candidate;
    return true;
  }
  return false;
}

bool PoisonList::is_broken(std::uint64_t hva) const {
  const shm::Locked lock(mutex_);
  const PoisonedPage* const page = find(hva);
  return page != nullptr && !page->drill && page->repair != wire::Repair::repaired;
}

bool PoisonList::page(std::uint32_t index, PoisonedPage& page) const {
  const shm::Locked lock(mutex_);
  if (index >= count_.load(std::memory_order_relaxed)) return false;
  page = items_[index];
  return true;
}

void PoisonList::note_repair(std::uint64_t hva, wire::Repair repair) {
  const shm::Locked lock(mutex_);
  PoisonedPage* const page = find(hva);
  if (page == nullptr) return;
  page->repair = repair;
  page->said_in = 0;
  if (repair == wire::Repair::repaired) page->to_tell = false;
  count_to_tell();
  count_repairs();
}

std::uint32_t PoisonList::say_repairs(PoisonedPage* pages, std::uint32_t capacity,
                                      std::uint64_t id) {
  const shm::Locked lock(mutex_);
  std::uint32_t said = 0;
  PoisonedPage* const end = items_ + count_.load(std::memory_order_relaxed);
  for (PoisonedPage* page = items_; page != end && said < capacity; ++page) {
    if (page->repair == wire::Repair::none || page->said_in != 0) continue;
    page->said_in = id;
    pages[said++] = *page;
  }
  count_repairs();
  return said;
}

void PoisonList::repairs_heard(std::uint64_t id) {
  const shm::Locked lock(mutex_);
  for (std::uint32_t i = count_.load(std::memory_order_relaxed); i-- > 0;) {
    PoisonedPage& page = items_[i];
    if (page.said_in != id || page.repair == wire::Repair::none) continue;
    if (page.repair == wire::Repair::repaired) {
      remove(i);
    } else {
      page.repair = wire::Repair::none;
      page.said_in = 0;
    }
  }
}

void PoisonList::repairs_unheard(std::uint64_t id) {
  const shm::Locked lock(mutex_);
  PoisonedPage* const end = items_ + count_.load(std::memory_order_relaxed);
  for (PoisonedPage* page = items_; page != end; ++page) {
    if (id == 0 || page->said_in == id) page->said_in = 0;
  }
  count_repairs();
}

bool PoisonList::add(const PoisonedPage& page) {
  const shm::Locked lock(mutex_);
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  if (count == capacity_ || find(page.hva) != nullptr) return false;
  items_[count] = page;
  count_.store(count + 1, std::memory_order_release);
  count_to_tell();
  return true;
}

void PoisonList::remove(std::uint32_t index) {
  const std::uint32_t last = count_.load(std::memory_order_relaxed) - 1;
  items_[index] = items_[last];
  count_.store(last, std::memory_order_release);
  count_to_tell();
  count_repairs();
}

void PoisonList::forget_told() {
  const shm::Locked lock(mutex_);
  PoisonedPage* const end = items_ + count_.load(std::memory_order_relaxed);
  for (PoisonedPage* page = items_; page != end; ++page) {
    page->told = page->to_tell = false;
    page->repeats = 0;
    page->round.reset();
  }
  count_to_tell();
}

}  // namespace memfail::shim
