// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace memfail::policy {

// schema/policy.fbs as it was when this was built.
const char* schema_text();

}  // namespace memfail::policy
