// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>

#include "sidecar/session/session.h"

namespace memfail::session {

// The fields of a hello alone: version, counts, lengths, enumerations.
std::optional<Refusal> check_hello(const wire::Hello& hello);

// Its three descriptors, by calls that cannot block. The request area's contents
// are checked when it is mapped.
std::optional<Refusal> check_descriptors(const AttachedDescriptors& descriptors,
                                         std::uint32_t vcpus);

decision::GuestProfile profile_of(const wire::Hello& hello);

}  // namespace memfail::session
