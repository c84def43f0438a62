// SPDX-License-Identifier: BSD-3-Clause
//
// One session in the form its maker has it; encode() turns it into the record
// (schema/journal.fbs) that is kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flatbuffers/flatbuffers.h"
#include "schema/journal_generated.h"

namespace memfail::journal {

template <typename Text>
struct BasicSession {
  wire::Id128 session;
  wire::SessionState state = wire::SessionState::attached;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Text label;
  wire::Id128 resume_key;
  Text vm_uuid;
  Text vm_name;
  std::uint32_t vcpus = 0;
  wire::Id128 boot;
  std::int32_t vmm_pid = 0;
  std::uint64_t vmm_start_time = 0;
};

using SessionFields = BasicSession<std::string_view>;
using OwnedSession = BasicSession<std::string>;

// As a table inside a buffer, and as a whole buffer, which must be empty.
flatbuffers::Offset<wire::SessionRecord> build(flatbuffers::FlatBufferBuilder& builder,
                                               const SessionFields& fields);
void encode(flatbuffers::FlatBufferBuilder& builder, const SessionFields& fields);

SessionFields view_of(const OwnedSession& session);
OwnedSession owned(const SessionFields& fields);
OwnedSession own(const wire::SessionRecord& record);

}  // namespace memfail::journal
