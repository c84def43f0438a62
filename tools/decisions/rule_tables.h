// SPDX-License-Identifier: BSD-3-Clause
//
// The rules as Markdown: those of every policy, `recommended` with QEMU's answer
// beside each row, QEMU's own, and those for the other vCPUs.
#pragma once

#include <string>

#include "sidecar/ctl/explain.h"

namespace memfail::docs {

std::string common_table();
std::string recommended_table();
std::string qemu_table();
std::string sibling_table();

// "`explain --mcip` | reset, `…` | …": one failure under both policies. Throws where
// they agree: the page says that they do not.
std::string difference(const std::string& arguments);

}  // namespace memfail::docs
