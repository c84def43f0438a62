// SPDX-License-Identifier: BSD-3-Clause
//
// Policies for tests: from text, which is right, and as bytes, which need not be.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/policy/compile.h"
#include "sidecar/policy/policy_set.h"

namespace memfail::policy::testing {

inline PolicySet set_of(std::string_view text) {
  const auto binary = compile(text);
  if (!binary) {
    ADD_FAILURE() << problem_line(binary.error().front(), "text") << " in " << text;
    return {};
  }
  auto set = PolicySet::from_binary(*binary);
  if (!set) ADD_FAILURE() << problem_line(set.error().front(), "binary") << " in " << text;
  return set ? *set : PolicySet();
}

// Rules as numbers, by Member: what tests compare.
inline std::vector<std::uint32_t> numbers(const decision::Rules& rules) {
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < kMembers; ++i) all.push_back(number_of(rules, member_at(i)));
  return all;
}

// Each problem as its line, without a file.
inline std::vector<std::string> lines_of(const Problems& problems) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem_line(problem, ""));
  return lines;
}

inline std::vector<std::string> problems_in(std::string_view text) {
  const auto binary = compile(text);
  return binary ? std::vector<std::string>{} : lines_of(binary.error());
}

// A policy as somebody else might build it: no text was ever checked.
struct Build {
  std::optional<std::uint32_t> version = 1;
  std::function<void(wire::RuleSetBuilder&)> defaults = nullptr;
  struct Vm {
    std::optional<std::string> name;
    std::function<void(wire::RuleSetBuilder&)> rules = nullptr;
  };
  std::vector<Vm> vms = {};

  Binary binary() const {
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::RuleSet>> sets;
    for (const Vm& vm : vms) sets.push_back(set(builder, vm.name, vm.rules));
    const auto list = builder.CreateVector(sets);
    flatbuffers::Offset<wire::RuleSet> first;
    if (defaults) first = set(builder, std::nullopt, defaults);
    wire::PolicyFileBuilder file(builder);
    if (version) file.add_version(*version);
    if (defaults) file.add_default_(first);
    file.add_vms(list);
    wire::FinishPolicyFileBuffer(builder, file.Finish());
    const auto bytes =
        std::as_bytes(std::span(builder.GetBufferPointer(), std::size_t{builder.GetSize()}));
    return {bytes.begin(), bytes.end()};
  }

 private:
  static flatbuffers::Offset<wire::RuleSet> set(
      flatbuffers::FlatBufferBuilder& builder, const std::optional<std::string>& name,
      const std::function<void(wire::RuleSetBuilder&)>& rules) {
    flatbuffers::Offset<flatbuffers::String> string;
    if (name) string = builder.CreateString(*name);
    wire::RuleSetBuilder one(builder);
    if (name) one.add_name(string);
    if (rules) rules(one);
    return one.Finish();
  }
};

inline std::vector<std::string> problems_in(const Build& build) {
  const auto set = PolicySet::from_binary(build.binary());
  return set ? std::vector<std::string>{} : lines_of(set.error());
}

}  // namespace memfail::policy::testing
