// SPDX-License-Identifier: BSD-3-Clause
//
// Lends the hugetlb scenarios the huge pages they need, where the host's pool
// has none free and we may ask for them; gives them back.
#pragma once

namespace memfail::scenarios {

class LentHugePages {
 public:
  LentHugePages();
  LentHugePages(const LentHugePages&) = delete;
  LentHugePages& operator=(const LentHugePages&) = delete;
  ~LentHugePages();

 private:
  long before_ = -1;  // the pool's size; -1: left alone
};

}  // namespace memfail::scenarios
