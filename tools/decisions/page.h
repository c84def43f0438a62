// SPDX-License-Identifier: BSD-3-Clause
//
// The page: its prose, in which places are left for what the code knows.
#pragma once

#include <string>

namespace memfail::docs {

// Each {{…}} filled in. Throws for one that is not known, and for a table that the
// prose leaves out.
//   {{common}} {{recommended}} {{qemu}} {{siblings}} {{records}} {{verdicts}} {{reasons}}
//   {{events}}
//   {{rule NAME}}      what a rule is as built in
//   {{differ OPTIONS}} see difference()
std::string filled(const std::string& prose);

}  // namespace memfail::docs
