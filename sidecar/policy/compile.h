// SPDX-License-Identifier: BSD-3-Clause
//
// A policy's text, as a person writes it, made the binary form that is sent and
// kept. The text may be anything.
#pragma once

#include <expected>
#include <string_view>

#include "sidecar/policy/binary.h"
#include "sidecar/policy/problem.h"

namespace memfail::policy {

inline constexpr std::size_t kMaxText = std::size_t{256} * 1024;

// JSON with comments (outline.h) that fits schema/policy.fbs and passes check.h: the
// binary is verified, and PolicySet takes it. The first problem alone where the text
// is no JSON; else up to kMaxProblems, each with its line and column.
std::expected<Binary, Problems> compile(std::string_view text);

}  // namespace memfail::policy
