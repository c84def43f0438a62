// SPDX-License-Identifier: BSD-3-Clause
//
// A policy as text, as bytes, and as the bytes of a good text with some changed:
// what stands behind a line that begins with % says which.
#include <cstdlib>
#include <string>
#include <string_view>

#include "sidecar/policy/compile.h"
#include "sidecar/policy/digest.h"
#include "sidecar/policy/policy_set.h"
#include "sidecar/policy/show.h"
#include "sidecar/policy/utf8.h"

namespace {

using namespace std::string_view_literals;
using memfail::policy::Binary;
using memfail::policy::PolicySet;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_rules(const memfail::decision::Rules& rules) {
  for (std::size_t i = 0; i < memfail::policy::kMembers; ++i) {
    const auto member = memfail::policy::member_at(i);
    const auto& [least, most] = memfail::policy::info(member).range;
    const std::uint32_t number = memfail::policy::number_of(rules, member);
    require(number >= least && number <= most);
  }
}

void check_problems(const memfail::policy::Problems& problems) {
  require(!problems.empty() && problems.size() <= memfail::policy::kMaxProblems);
  for (const auto& problem : problems) {
    const std::string line = memfail::policy::problem_line(problem, "file");
    require(!problem.what.empty() && line.find('\n') == std::string::npos);
    require(!memfail::policy::find_invalid(line));
    // Our own checks of a text are at least as strict as the parser beneath.
    require(!problem.what.starts_with("refused by FlatBuffers"));
  }
}

// Whatever a peer calls its VM.
void check_set(const PolicySet& set, std::string_view name) {
  for (const std::string_view one : {name.substr(0, 127), "db-1"sv, ""sv}) {
    check_rules(set.rules_for(one));
    const auto entry = set.entry_for(one);
    require(!entry || *entry < set.vms().size());
    require(!memfail::policy::effective_text(set, one).empty());
    (void)memfail::policy::effective_json(set, one).dump(
        -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  for (const auto& vm : set.vms()) {
    const auto again = memfail::policy::Glob::parse(vm.glob.canonical());
    require(again && again->canonical() == vm.glob.canonical());
  }
}

void take_bytes(const Binary& bytes, std::string_view name) {
  const auto set = PolicySet::from_binary(bytes);
  if (set) {
    check_set(*set, name);
  } else {
    check_problems(set.error());
  }
}

// A text that is taken makes bytes that are taken. Of `changes` three bytes each are
// an offset and a value.
void take_text(std::string_view text, std::string_view changes) {
  auto binary = memfail::policy::compile(text);
  if (!binary) return check_problems(binary.error());
  const auto set = PolicySet::from_binary(*binary);
  require(set.has_value());
  require(set->digest() == memfail::policy::fnv1a64(memfail::policy::canonical_text(*set)));
  check_set(*set, text);
  for (std::size_t i = 0; i + 2 < changes.size(); i += 3) {
    const auto at = static_cast<std::size_t>(static_cast<unsigned char>(changes[i])) * 256 +
                    static_cast<unsigned char>(changes[i + 1]);
    (*binary)[at % binary->size()] = static_cast<std::byte>(changes[i + 2]);
  }
  if (!changes.empty()) take_bytes(*binary, text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  take_text(input, "");
  const auto all = std::as_bytes(std::span(bytes, size));
  take_bytes(Binary(all.begin(), all.end()), input);
  if (const std::size_t end = input.find("\n%"); end != std::string_view::npos) {
    take_text(input.substr(0, end), input.substr(end + 2));
  }
  return 0;
}
