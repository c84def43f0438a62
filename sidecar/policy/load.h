// SPDX-License-Identifier: BSD-3-Clause
//
// A policy by the name that an operator gives: a built-in one, or a file.
#pragma once

#include <expected>
#include <string>

#include "sidecar/policy/policy_set.h"

namespace memfail::policy {

// The bytes of a file or a pipe, of one that is too large only as many as tell it.
// The error is the reason alone: "No such file or directory".
std::expected<std::string, std::string> read_text(const std::string& path);

// "qemu", "recommended", or a path ("./qemu" is a file). The error is one line.
std::expected<PolicySet, std::string> load(const std::string& name);

}  // namespace memfail::policy
