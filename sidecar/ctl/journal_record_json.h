// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "sidecar/journal/record_frame.h"

namespace memfail::ctl {

// One record as a JSON object on a line with '\n'. An event is what readers get,
// with its place in the journal in front.
std::string record_json(const journal::Record& record);

}  // namespace memfail::ctl
