// SPDX-License-Identifier: BSD-3-Clause
//
// The policy of the VMs in whose scenarios an operator has chosen something.
#pragma once

#include <string>

namespace memfail::scenarios {

// What memfaild's --policy is given: the name, or a file in `folder`.
std::string policy_for(const std::string& policy, const std::string& folder);

}  // namespace memfail::scenarios
