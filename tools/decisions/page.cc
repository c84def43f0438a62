// SPDX-License-Identifier: BSD-3-Clause
#include "tools/decisions/page.h"

#include <map>
#include <set>
#include <stdexcept>

#include "sidecar/policy/members.h"
#include "tools/decisions/event_table.h"
#include "tools/decisions/record_tables.h"
#include "tools/decisions/rule_tables.h"

namespace memfail::docs {
namespace {

using Tables = std::map<std::string, std::string (*)()>;

const Tables& tables() {
  static const Tables known{{"common", common_table},  {"recommended", recommended_table},
                            {"qemu", qemu_table},      {"siblings", sibling_table},
                            {"records", record_table}, {"reasons", reason_table},
                            {"events", event_table},   {"verdicts", verdict_table}};
  return known;
}

std::string built_in(const std::string& name) {
  const auto member = policy::member_of_name(name);
  if (!member) throw std::runtime_error("{{rule " + name + "}}: there is no such rule");
  return policy::spelled(*member, policy::number_of({}, *member));
}

std::string one(const std::string& name) {
  if (const auto found = tables().find(name); found != tables().end()) {
    std::string text = found->second();
    text.pop_back();  // the prose has the end of the line
    return text;
  }
  if (name.starts_with("rule ")) return built_in(name.substr(5));
  if (name.starts_with("differ ")) return difference(name.substr(7));
  throw std::runtime_error("{{" + name + "}}: is nothing that this page has");
}

void check_all_used(const std::set<std::string>& used) {
  for (const auto& [name, make] : tables()) {
    if (!used.contains(name)) throw std::runtime_error("{{" + name + "}} is missing");
  }
}

}  // namespace

std::string filled(const std::string& prose) {
  std::string page;
  std::set<std::string> used;
  std::size_t from = 0;
  for (;;) {
    const std::size_t open = prose.find("{{", from);
    if (open == std::string::npos) break;
    const std::size_t close = prose.find("}}", open);
    if (close == std::string::npos) throw std::runtime_error("{{ without its }}");
    const std::string name = prose.substr(open + 2, close - open - 2);
    page += prose.substr(from, open - from) + one(name);
    used.insert(name);
    from = close + 2;
  }
  check_all_used(used);
  return page + prose.substr(from);
}

}  // namespace memfail::docs
