// SPDX-License-Identifier: BSD-3-Clause
//
// Where readers' events come from. What is in memory is had at once; history that
// is on disk comes later, from another thread: the loop never waits for a file.
#pragma once

#include <cstdint>
#include <string>

#include "schema/event_generated.h"

namespace memfail::journal {

enum class Fetch : std::uint8_t {
  kHere,   // event() has it now
  kLater,  // it has been sent for
  kGone,   // overwritten, or damaged: nobody will have it again
};

// One thread: the loop's.
class EventSource {
 public:
  // A seq is only good under this id.
  virtual const std::string& id() const = 0;

  // The oldest that can be had at all, by whatever way; next_seq() when there is none.
  // It only grows.
  virtual std::uint64_t first_seq() const = 0;

  // The first that readers cannot have yet. It only grows.
  virtual std::uint64_t next_seq() const = 0;

  // The first that is not on record at all: readers may name it, and wait. With a disk
  // behind it, later than next_seq() for a moment.
  virtual std::uint64_t next_recorded() const { return next_seq(); }

  // Asked from first_seq() to before next_seq() only. Where the answer is kLater the
  // source tells its owner once the event is there (or is gone after all), who then
  // tells every reader that waits; until each of them has asked again, what arrived
  // stays. Asking twice for the same costs nothing.
  virtual Fetch fetch(std::uint64_t seq) = 0;

  // Null unless fetch() says kHere; valid until the source is next asked or appended to.
  virtual const wire::EventRecord* event(std::uint64_t seq) const = 0;

  // Whether a power cut leaves it.
  virtual bool durable(std::uint64_t seq) const = 0;

 protected:
  ~EventSource() = default;
};

}  // namespace memfail::journal
