// SPDX-License-Identifier: BSD-3-Clause
#include "tests/qemu/guest_line.h"

#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

#include "tests/qemu/deadline.h"
#include "tests/qemu/guest.h"
#include "vmm_shim/reference/scenarios/wait.h"

namespace memfail::qemu {
namespace {

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

}  // namespace

GuestLine::GuestLine(shm::UniqueFd socket, unsigned vcpu)
    : socket_(std::move(socket)), vcpu_(vcpu) {}

void GuestLine::fail(const std::string& what) const {
  throw std::runtime_error("guest, vCPU " + std::to_string(vcpu_) + ": " + what);
}

std::uint8_t GuestLine::byte() {
  std::uint8_t byte = 0;
  if (!scenarios::readable_before(socket_.get(), deadline())) fail("it says nothing");
  if (::read(socket_.get(), &byte, 1) != 1) fail("its line is closed");
  return byte;
}

std::uint32_t GuestLine::value() {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 32; shift += 8) value |= std::uint32_t{byte()} << shift;
  return value;
}

void GuestLine::forget() {
  std::array<char, 256> bytes{};
  while (::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) continue;
  machine_checks_ = 0;
}

void GuestLine::await_ready() {
  if (byte() != GUEST_READY) fail("it should have begun, but says something else");
}

void GuestLine::await_machine_check() {
  if (byte() != GUEST_MACHINE_CHECK) fail("no machine check, but something else");
  ++machine_checks_;
}

unsigned GuestLine::take_machine_checks() { return std::exchange(machine_checks_, 0); }

void GuestLine::send(char command, std::initializer_list<std::uint32_t> values) {
  std::string bytes(1, command);
  for (const std::uint32_t value : values) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      bytes += static_cast<char>(value >> shift & 0xFF);
    }
  }
  if (::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    fail("nothing can be sent to it");
  }
}

void GuestLine::await_answer(char command) {
  for (;;) {
    const char answer = static_cast<char>(byte());
    if (answer == command) return;
    if (answer != GUEST_MACHINE_CHECK) {
      fail(std::string("asked '") + command + "', said '" + answer + "'");
    }
    ++machine_checks_;
  }
}

std::vector<std::uint64_t> GuestLine::rdmsr(const std::vector<std::uint32_t>& msrs) {
  std::vector<std::uint64_t> values;
  for (const std::uint32_t msr : msrs) send(GUEST_RDMSR, {msr});
  for (std::size_t i = 0; i < msrs.size(); ++i) {
    await_answer(GUEST_RDMSR);
    const std::uint64_t low = value();
    values.push_back(std::uint64_t{value()} << 32 | low);
  }
  return values;
}

void GuestLine::wrmsr(const std::vector<Write>& writes) {
  for (const Write& write : writes) {
    send(GUEST_WRMSR, {write.msr, low(write.value), high(write.value)});
  }
  for (std::size_t i = 0; i < writes.size(); ++i) await_answer(GUEST_WRMSR);
}

std::uint64_t GuestLine::rdmsr(std::uint32_t msr) {
  return rdmsr(std::vector<std::uint32_t>{msr}).front();
}

void GuestLine::wrmsr(std::uint32_t msr, std::uint64_t value) {
  wrmsr(std::vector<Write>{{msr, value}});
}

std::uint32_t GuestLine::cr4() {
  send(GUEST_READ_CR4);
  await_answer(GUEST_READ_CR4);
  return value();
}

void GuestLine::set_cr4(std::uint32_t value) {
  send(GUEST_WRITE_CR4, {value});
  await_answer(GUEST_WRITE_CR4);
}

std::array<std::uint32_t, 4> GuestLine::cpuid(std::uint32_t leaf) {
  send(GUEST_CPUID, {leaf});
  await_answer(GUEST_CPUID);
  std::array<std::uint32_t, 4> registers{};
  for (std::uint32_t& out : registers) out = value();
  return registers;
}

void GuestLine::halt() {
  send(GUEST_HALT);
  await_answer(GUEST_HALT);
}

}  // namespace memfail::qemu
