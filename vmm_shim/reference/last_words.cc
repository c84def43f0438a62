// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/last_words.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "vmm_shim/reference/exit.h"

namespace memfail::reference {
namespace {

// Text that is put together without allocation; what does not fit is cut.
class Buffer {
 public:
  void text(std::string_view text) {
    const std::size_t count = std::min(text.size(), bytes_.size() - used_);
    std::memcpy(bytes_.data() + used_, text.data(), count);
    used_ += count;
  }

  void number(std::uint64_t value) { digits(value, 10); }

  void hex(std::uint64_t value) {
    text("\"0x");
    digits(value, 16);
    text("\"");
  }

  void address(std::uint64_t value) { value == UINT64_MAX ? text("null") : hex(value); }

  void print(int fd) const { (void)!write(fd, bytes_.data(), used_); }

 private:
  void digits(std::uint64_t value, unsigned base) {
    std::array<char, 20> reversed;
    std::size_t count = 0;
    do {
      reversed[count++] = "0123456789abcdef"[value % base];
    } while (value /= base);
    while (count > 0) text({&reversed[--count], 1});
  }

  std::array<char, 16384> bytes_;
  std::size_t used_ = 0;
};

Buffer words;
int output = STDOUT_FILENO;

void add_incident(const memfail_incident& incident) {
  words.text("{\"vcpu\":");
  incident.vcpu < 0 ? words.text("null") : words.number(static_cast<std::uint64_t>(incident.vcpu));
  words.text(",\"hva\":");
  words.address(incident.hva);
  words.text(",\"gpa\":");
  words.address(incident.gpa);
  words.text(",\"si_code\":");
  words.number(static_cast<std::uint64_t>(incident.si_code));
  words.text(",\"verdict\":");
  words.number(incident.verdict);
  words.text(",\"decided_by\":");
  words.number(incident.decided_by);
  words.text(",\"reason\":");
  words.number(incident.reason);
  words.text(",\"reason_text\":\"");
  words.text(incident.reason_text ? incident.reason_text : "");
  words.text("\"}");
}

}  // namespace

void prepare_last_words(int fd, const std::string& prefix) {
  output = fd;
  words = Buffer();
  words.text(prefix);
}

void say_last_words(const memfail_incident* incident) {
  words.text(",\"vm\":\"aborted\",\"last_incident\":");
  incident ? add_incident(*incident) : words.text("null");
  words.text("}\n");
  words.print(output);
  _exit(kExitAborted);
}

}  // namespace memfail::reference
