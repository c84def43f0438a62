// SPDX-License-Identifier: BSD-3-Clause
//
// What stands between this process and the host, as the operator is told.
#pragma once

#include <string>
#include <vector>

namespace memfail::server {

struct Wall {
  std::string grade;  // "strict", "auto", "none"
  std::vector<std::string> in_force;
  std::vector<std::string> missing;  // each with the reason
  std::string warning;               // empty: all of the grade is in force
};

}  // namespace memfail::server
