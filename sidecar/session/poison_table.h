// SPDX-License-Identifier: BSD-3-Clause
//
// The pages of one VM that are known to be broken.
//
// Theory of operation. What breaks is a backing page of 4 KiB, 2 MiB or 1 GiB: one
// `Loss`, whichever part of it was reported. What the guest is told of, and meets
// again, is a page of 4 KiB: one `Page`, made by its first report. Losses that are
// not repaired never overlap, so the last one that begins at or before a page is
// the only one that can hold it.
//
// Both are trees, not sorted arrays: a VMM may fill them on purpose, and an
// insertion must then cost what it costs in an empty one, since other VMs wait.
// Both are bounded. Repaired losses make room; after them, what comes new is
// counted in `refused()` and is from then on like a page never seen.
//
// A guest reset needs no call: what the guest was told, and how often it met a
// page, hold for the life of the guest (report.guest_epoch) in which it was. Late
// outcomes of an earlier life do no harm.
//
// The intake calls, for an incident:
//   history()      before the decision; const, allocates nothing
//   note_report()  once: after the answer, with the verdict given; or at an outcome
//                  that comes without our verdict, with that one's
//   note_outcome() at the outcome
// in any order among incidents. Time is an argument and never goes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "sidecar/decision/input.h"
#include "sidecar/decision/rules.h"
#include "sidecar/session/page_range.h"
#include "sidecar/session/page_report.h"
#include "sidecar/session/repeat_log.h"

namespace memfail::session {

struct Loss {
  PageRange range;
  std::uint64_t gpa = wire::kNoAddress;  // of its start
  std::uint64_t reports = 0;
  std::uint64_t first_us = 0;  // CLOCK_REALTIME of the first and last report; 0: none
  std::uint64_t last_us = 0;   // that this VMM knows of
  bool drill = false;          // nothing but drills spoke of it
};

struct Page {
  std::optional<std::uint32_t> told_in;  // the life of the guest in which it was told
  RepeatLog::Mark met = RepeatLog::kNone;
};

// One page as the VMM lists it at attach.
struct KnownPage {
  std::uint64_t hva = wire::kNoAddress;
  std::uint64_t gpa = wire::kNoAddress;
  std::uint64_t size = 0;  // bytes lost with it
  bool told = false;       // the guest, of these 4 KiB
  bool repaired = false;
  bool drill = false;
  std::uint64_t reports = 0;   // of the loss, so far
  std::uint64_t first_us = 0;
  std::uint64_t last_us = 0;
};

struct PoisonCapacity {
  std::size_t losses = 65536;
  std::size_t pages = 262144;  // of 4 KiB: as many as there are in 1 GiB
  std::uint32_t repeats = 65536;
};

class PoisonTable {
 public:
  using Losses = std::map<PageNumber, Loss>;  // by their first page
  using Pages = std::map<PageNumber, Page>;

  explicit PoisonTable(const PoisonCapacity& capacity = {});

  // `repeats` are the rounds of RepeatLog; it stops at RepeatLog::kMost, and this
  // report.
  decision::History history(const PageReport& report, const decision::Rules& rules,
                            std::uint64_t now_ns) const;

  // Drills and real failures do not mix: what fails for real after a drill is new.

  // Whether these 4 KiB are news: not reported since they were last whole. A
  // report that is no hardware error, or has no address, leaves no trace.
  bool note_report(const PageReport& report, wire::Verdict verdict, const decision::Rules& rules,
                   const Instant& now);

  void note_outcome(const PageOutcome& outcome);

  // There is a clean page under the address again. Takes every loss that lies
  // within the backing page of `size` bytes there.
  void note_repaired(std::uint64_t hva, std::uint64_t gpa, std::uint64_t size);

  // At attach: adds what the VMM lists to what is known. `told` counts for that
  // life of the guest. What another sidecar counted goes on; a report that was under
  // way when it died may be in the VMM's count already, and is counted here again.
  void rebuild(std::span<const KnownPage> known, std::uint32_t guest_epoch);

  const Losses& broken() const { return broken_; }
  const Losses& repaired() const { return repaired_; }
  const Pages& pages() const { return pages_; }
  bool is_told(PageNumber page, std::uint32_t guest_epoch) const;

  // The small pages of a loss of which the guest was told. For status and export:
  // walks over those that were reported.
  std::uint64_t told_pages(const Loss& loss, std::uint32_t guest_epoch) const;

  // Reports of pages there was no room for.
  std::uint64_t refused() const { return refused_; }
  std::uint64_t repeats_overwritten() const { return repeats_.overwritten(); }

 private:
  const Loss* covering(PageNumber page) const;
  Loss* find_or_add(PageNumber page, std::uint64_t gpa, std::uint64_t size);
  Loss* add(Loss loss);
  void absorb(Loss& into);
  void forget_drills(const PageRange& range);
  bool make_room();
  Page* add_page(PageNumber page);
  void repair(const PageRange& range);
  void add_repaired(const KnownPage& known, PageNumber page);
  void rebuild_one(const KnownPage& known, std::uint32_t guest_epoch);

  PoisonCapacity capacity_;
  Losses broken_;    // disjoint
  Losses repaired_;  // for people to see, and the first to make room
  Pages pages_;      // all within broken_
  RepeatLog repeats_;
  std::uint64_t refused_ = 0;
};

}  // namespace memfail::session
