// SPDX-License-Identifier: BSD-3-Clause
//
// A session's two areas as real memfds, with both sides' mappings in one process.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <utility>

#include "shm/area.h"
#include "shm/lane.h"
#include "shm/line.h"

namespace memfail::shm::testing {

inline constexpr SessionId kSession{0x1122334455667788, 0x99AABBCCDDEEFF00};

template <typename T>
T must(std::expected<T, Error> result) {
  if (!result) {
    ADD_FAILURE() << result.error().field << " " << result.error().what << " value "
                  << result.error().value << " limit " << result.error().limit << " errno "
                  << result.error().number;
    std::abort();
  }
  return std::move(*result);
}

struct Areas {
  explicit Areas(std::uint32_t vcpus = 2)
      : geometry(vcpus),
        request(must(make_area(AreaKind::kRequest, geometry, kSession))),
        reply(must(make_area(AreaKind::kReply, geometry, kSession))),
        request_seen(
            must(open_peer_area(request.fd.get(), AreaKind::kRequest, geometry, kSession))),
        reply_seen(must(open_peer_area(reply.fd.get(), AreaKind::kReply, geometry, kSession))) {}

  // What the shim works with, and what the sidecar works with.
  [[nodiscard]] RequestView shim_request() const { return {request.mapping.data(), geometry}; }
  [[nodiscard]] ReplyView shim_reply() const { return {reply_seen.data(), geometry}; }
  [[nodiscard]] RequestView sidecar_request() const { return {request_seen.data(), geometry}; }
  [[nodiscard]] ReplyView sidecar_reply() const { return {reply.mapping.data(), geometry}; }

  // The sidecar is done with incident n of this cell.
  void retire(CellId id, std::uint64_t n) const {
    store_word(sidecar_reply().line(id), wire::kReplyRetiredOffset, n);
  }
  [[nodiscard]] static LineKey key(std::uint32_t lane) {
    return {kSession.low, kSession.high, lane};
  }
  // Commits a report that says who wrote it.
  void commit_report(const Claim& claim) const {
    write_line(shim_request().line(claim.id, LineKind::kReport), report(claim.n),
               key(claim.id.lane), claim.n);
  }
  static wire::ReportLine report(std::uint64_t n) {
    return {0,
            0,
            wire::ReportKind::sigbus,
            wire::ThreadKind::other,
            12,
            0,
            n * 0x1000,
            ~n,
            n * 3,
            4,
            static_cast<std::uint32_t>(n),
            static_cast<std::uint32_t>(n * 7),
            static_cast<std::uint32_t>(n * 11),
            n ^ 0x5A5A5A5A5A5A5A5A};
  }

  Geometry geometry;
  OwnArea request;
  OwnArea reply;
  Mapping request_seen;
  Mapping reply_seen;
};

inline bool same_report(const wire::ReportLine& line, std::uint64_t n) {
  return line.word() == committed_word(n) && line.hva() == n * 0x1000 && line.gpa() == ~n &&
         line.entered_ns() == n * 3 && line.tid() == static_cast<std::uint32_t>(n) &&
         line.region_generation() == static_cast<std::uint32_t>(n * 7) &&
         line.guest_epoch() == static_cast<std::uint32_t>(n * 11) &&
         line.reserved() == (n ^ 0x5A5A5A5A5A5A5A5A);
}

}  // namespace memfail::shm::testing
