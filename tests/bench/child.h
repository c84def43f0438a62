// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace memfail::bench {

// A process of ours: killed and waited for with this object, and by the kernel
// should we die first.
class Child {
 public:
  Child() = default;
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  Child& operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Has it ended by itself?
  [[nodiscard]] bool has_ended() const;

 private:
  pid_t pid_ = 0;
};

// Runs `body` in a forked child, which ends when it returns.
Child fork_child(const std::function<void()>& body);

// Runs a program, its output in the file `log`.
Child run_program(const std::vector<std::string>& arguments, const std::string& log);

}  // namespace memfail::bench
