// SPDX-License-Identifier: BSD-3-Clause
//
// One memory failure as memfail reported it to the VMM: a copy that outlives the
// call.
#pragma once

#include <memfail/shim.h>

#include <string>

namespace memfail::reference {

struct Incident {
  memfail_incident what{};
  std::string reason;

  explicit Incident(const memfail_incident& from)
      : what(from), reason(from.reason_text ? from.reason_text : "") {
    what.reason_text = nullptr;  // valid for the call only
  }
};

}  // namespace memfail::reference
