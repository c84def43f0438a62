// SPDX-License-Identifier: BSD-3-Clause
//
// An event as readers get it: one JSON object on one line, QEMU's MEMORY_FAILURE
// with `data.memfail` beside QEMU's own members. Readers of QEMU's events
// (libvirt) take the members they know and pass over ours.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "schema/event_generated.h"
#include "schema/incident_layout.h"

namespace memfail::events {

// Each ends with '\n'.
std::string event_line(const wire::EventRecord& event, bool durable);
std::string header_line(std::string_view journal, std::uint64_t first_seq, std::uint64_t next_seq);

// Events `from` to `to` are gone; what follows begins at to + 1.
std::string gap_line(std::string_view journal, std::uint64_t from, std::uint64_t to);
// The reader's place was in another journal: what that one had from `from` on cannot be
// had here, and nobody knows how much it was.
std::string other_journal_line(std::string_view journal, std::string_view other,
                               std::uint64_t from);

// The last line of a reader that does not follow: all was said, up to before `resume_from`.
std::string end_line(std::string_view journal, std::uint64_t resume_from);
// The last line of a reader that was too slow: ask again since `resume_from`.
std::string cut_off_line(std::string_view journal, std::uint64_t resume_from);

// The last line of a reader whose request is not taken: why, and what would be (nothing,
// where `why` says all).
std::string refusal_line(std::string_view why, std::span<const std::string_view> accepted = {});
// The same for a place that no event has yet.
std::string future_line(std::string_view journal, std::uint64_t since, std::uint64_t next_seq);

// 32 hex digits.
std::string hex_id(const wire::Id128& id);

}  // namespace memfail::events
