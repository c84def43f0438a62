// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl explain` for people.
#pragma once

#include <string>

#include "sidecar/ctl/explain.h"

namespace memfail::ctl {

// The failure as it was understood, the rules that were looked at, what they came
// to, and what the other policy says. `policy` names the one asked about.
std::string explain_text(const std::string& policy, const Comparison& comparison, bool colour);

}  // namespace memfail::ctl
