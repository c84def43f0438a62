// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/guest_view.h"

#include "vmm_shim/reference/guest.h"

namespace memfail::reference {
namespace {

constexpr std::uint64_t kEipv = 2;

std::uint64_t high(std::uint32_t value) { return std::uint64_t{value} << 32; }

}  // namespace

void GuestView::on_out(unsigned vcpu, std::uint16_t port, std::uint32_t value) {
  const std::lock_guard lock(mutex_);
  PerVcpu& reporter = vcpus_[vcpu];
  reporter.building.vcpu = vcpu;
  build(reporter.building, port, value);
  count(reporter, port);
  if (port == PORT_RECOVERED) mark_recovered(vcpu);
  if (port == PORT_DONE) reporter.last_value = value;
}

void GuestView::build(BankSeen& bank, std::uint16_t port, std::uint32_t value) {
  switch (port) {
    case PORT_MCG_STATUS:
      bank.mcg_status = value;
      bank.saved_ip = 0;
      break;
    case PORT_SAVED_IP:
      bank.saved_ip = value;
      break;
    case PORT_BANK:
      bank.bank = value;
      break;
    case PORT_STATUS_LOW:
      bank.status = value;
      break;
    case PORT_STATUS_HIGH:
      bank.status |= high(value);
      break;
    case PORT_ADDR_LOW:
      bank.addr = value;
      break;
    case PORT_ADDR_HIGH:
      bank.addr |= high(value);
      break;
    case PORT_MISC_LOW:
      bank.misc = value;
      break;
    case PORT_MISC_HIGH:
      bank.misc |= high(value);
      banks_.push_back(bank);
      break;
    default:
      break;
  }
}

void GuestView::count(PerVcpu& vcpu, std::uint16_t port) {
  GuestCounts& counts = vcpu.counts;
  switch (port) {
    case PORT_READY:
      ++counts.ready;
      break;
    case PORT_DONE:
      ++counts.done;
      break;
    case PORT_IN_HANDLER:
      ++counts.in_handler;
      break;
    case PORT_RECOVERED:
      ++counts.recovered;
      break;
    case PORT_STOPPED:
      ++counts.stopped;
      break;
    case PORT_MISC_HIGH:
      ++counts.banks;
      break;
    default:
      break;
  }
}

void GuestView::mark_recovered(unsigned vcpu) {
  for (BankSeen& bank : banks_) {
    if (bank.vcpu == vcpu && (bank.mcg_status & kEipv)) bank.recovered = true;
  }
}

GuestCounts GuestView::counts(unsigned vcpu) const {
  const std::lock_guard lock(mutex_);
  return vcpus_[vcpu].counts;
}

std::uint32_t GuestView::last_value(unsigned vcpu) const {
  const std::lock_guard lock(mutex_);
  return vcpus_[vcpu].last_value;
}

std::vector<BankSeen> GuestView::banks() const {
  const std::lock_guard lock(mutex_);
  return banks_;
}

}  // namespace memfail::reference
