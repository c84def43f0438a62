// SPDX-License-Identifier: BSD-3-Clause
#include "bpf.h"

#include <gtest/gtest.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstring>
#include <vector>

namespace memfail::sandbox::testing {
namespace {

seccomp_data data_of(const Call& call) {
  seccomp_data data{};
  data.nr = static_cast<int>(call.number);
  data.arch = call.architecture;
  for (std::size_t i = 0; i < call.arguments.size(); ++i) data.args[i] = call.arguments[i];
  return data;
}

bool holds(std::uint16_t code, std::uint32_t accumulator, std::uint32_t operand) {
  switch (BPF_OP(code)) {
    case BPF_JA:
      return true;
    case BPF_JEQ:
      return accumulator == operand;
    case BPF_JGT:
      return accumulator > operand;
    case BPF_JGE:
      return accumulator >= operand;
    default:  // BPF_JSET
      return (accumulator & operand) != 0;
  }
}

}  // namespace

std::uint32_t evaluate(const std::string& program, const Call& call) {
  std::vector<sock_filter> code(program.size() / sizeof(sock_filter));
  std::memcpy(code.data(), program.data(), program.size());
  const seccomp_data data = data_of(call);
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const sock_filter& one = code[at];
    switch (BPF_CLASS(one.code)) {
      case BPF_LD:
        if (one.k + sizeof accumulator > sizeof data) break;
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + one.k, sizeof accumulator);
        continue;
      case BPF_ALU:
        if (BPF_OP(one.code) != BPF_AND) break;
        accumulator &= one.k;
        continue;
      case BPF_JMP:
        if (BPF_OP(one.code) == BPF_JA) {
          at += one.k;
        } else {
          at += holds(one.code, accumulator, one.k) ? one.jt : one.jf;
        }
        continue;
      case BPF_RET:
        return one.k;
      default:
        break;
    }
    ADD_FAILURE() << "instruction " << at << ", code " << one.code;
    return 0;
  }
  ADD_FAILURE() << "the program has no end";
  return 0;
}

}  // namespace memfail::sandbox::testing
