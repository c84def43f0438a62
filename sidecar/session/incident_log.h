// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "sidecar/journal/event_fields.h"

namespace memfail::session {

// What broke, what was decided, and why, in one line for a person.
std::string incident_line(const journal::EventFields& fields);

}  // namespace memfail::session
