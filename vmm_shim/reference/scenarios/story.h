// SPDX-License-Identifier: BSD-3-Clause
//
// Tells a scenario to someone who has never seen one.
#pragma once

#include <string>
#include <vector>

#include "vmm_shim/reference/scenarios/outcome.h"

namespace memfail::scenarios {

// Colours where a person looks, plain text elsewhere.
class Paint {
 public:
  explicit Paint(bool colours) : colours_(colours) {}
  std::string bold(const std::string& text) const { return wrap("1", text); }
  std::string faint(const std::string& text) const { return wrap("2", text); }
  std::string good(const std::string& text) const { return wrap("32", text); }
  std::string bad(const std::string& text) const { return wrap("31;1", text); }
  std::string odd(const std::string& text) const { return wrap("33", text); }

 private:
  std::string wrap(const char* code, const std::string& text) const;
  bool colours_;
};

void tell(const Outcome& outcome, const Paint& paint);
void tell_summary(const std::vector<Outcome>& outcomes, const Paint& paint);

}  // namespace memfail::scenarios
