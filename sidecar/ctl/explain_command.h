// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl explain`: what would become of this memory failure, and why? Asks no
// memfaild: it has the same rules.
#pragma once

#include <CLI/CLI.hpp>
#include <expected>
#include <string>

#include "sidecar/ctl/explain.h"
#include "sidecar/ctl/explain_rules.h"
#include "sidecar/ctl/situation.h"

namespace memfail::ctl {

struct ExplainOptions {
  Situation situation;
  PolicyChoice policy;
  bool as_json = false;
};

void declare_explain(CLI::App& command, ExplainOptions& options);

// What to print; the error is one line.
std::expected<std::string, std::string> explanation_of(const ExplainOptions& options, bool colour);

}  // namespace memfail::ctl
