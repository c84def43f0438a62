// SPDX-License-Identifier: BSD-3-Clause
//
// Whether a JSON text has the shape of schema/policy.fbs: known members, each of
// its kind. FlatBuffers' own parser is more lenient than a policy may be: it takes
// "16" for 16, "reset pause" for the number of abort, null for nothing, and names
// the place behind the one that is meant. So it only converts what passed here.
#pragma once

#include "sidecar/policy/outline.h"
#include "sidecar/policy/problem.h"

namespace memfail::policy {

// At most kMaxProblems, in the order of the text, with their positions.
Problems check_shape(const Outline& outline, std::string_view text);

}  // namespace memfail::policy
