// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstdio>
#include <string>

#include "schema/incident_layout.h"

namespace memfail::journal {

// 32 hex digits: how a journal, a boot and a session are named to people.
inline std::string id_text(const wire::Id128& id) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx",
                static_cast<unsigned long long>(id.high()),
                static_cast<unsigned long long>(id.low()));
  return text.data();
}

}  // namespace memfail::journal
