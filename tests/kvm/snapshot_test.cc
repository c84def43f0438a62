// SPDX-License-Identifier: BSD-3-Clause
//
// The snapshot against what was set on a real vCPU.
#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include "tests/kvm/rig.h"
#include "vmm_shim/snapshot.h"

namespace memfail::test {
namespace {

using wire::SnapshotField;
using wire::SnapshotFlag;

class SnapshotTest : public KvmTest {};

bool has(const wire::SnapshotLine& line, SnapshotFlag flag) {
  return (line.flags() & static_cast<unsigned>(flag)) != 0;
}
bool has(const wire::SnapshotLine& line, SnapshotField field) {
  return (line.valid() & static_cast<unsigned>(field)) != 0;
}

TEST_F(SnapshotTest, OfAReadyGuestSaysEverythingIsReady) {
  const Rig rig;
  const auto line = shim::take_snapshot(*rig.lane());
  for (const auto field : {SnapshotField::mp_state, SnapshotField::mcg_status,
                           SnapshotField::mcg_ctl, SnapshotField::lmce, SnapshotField::banks,
                           SnapshotField::cr4, SnapshotField::events, SnapshotField::smm}) {
    EXPECT_TRUE(has(line, field)) << static_cast<unsigned>(field);
  }
  EXPECT_TRUE(has(line, SnapshotFlag::cr4_mce));
  EXPECT_TRUE(has(line, SnapshotFlag::mcg_ctl_ok));
  EXPECT_FALSE(has(line, SnapshotFlag::lmce_on));
  EXPECT_FALSE(has(line, SnapshotFlag::in_smm));
  EXPECT_EQ(line.mcg_status(), 0U);
  EXPECT_EQ(line.bank_val(), 0U);
  EXPECT_EQ(line.bank_uc(), 0U);
  EXPECT_EQ(line.bank_ctl_off(), 0U);
  EXPECT_EQ(line.queued_exception(), wire::kNoException);
  EXPECT_EQ(line.mp_state(), KVM_MP_STATE_RUNNABLE);
  EXPECT_EQ(line.vcpu(), 0U);
}

TEST_F(SnapshotTest, FollowsCr4) {
  const Rig rig;
  rig.set_cr4_mce(false);
  const auto line = shim::take_snapshot(*rig.lane());
  EXPECT_TRUE(has(line, SnapshotField::cr4));
  EXPECT_FALSE(has(line, SnapshotFlag::cr4_mce));
}

TEST_F(SnapshotTest, ShowsAMachineCheckInProgress) {
  const Rig rig;
  rig.set_msr(reference::kMsrMcgStatus, 4);
  EXPECT_EQ(shim::take_snapshot(*rig.lane()).mcg_status(), 4U);
}

TEST_F(SnapshotTest, ShowsControlsThatAreOff) {
  const Rig rig;
  rig.set_msr(reference::kMsrMcgCtl, 0);
  rig.set_msr(reference::kMsrMc0Ctl + 4 * 9, 0);
  const auto line = shim::take_snapshot(*rig.lane());
  EXPECT_FALSE(has(line, SnapshotFlag::mcg_ctl_ok));
  EXPECT_EQ(line.bank_ctl_off(), 1U << 9);
}

TEST_F(SnapshotTest, ShowsWhichBanksAreValidAndUncorrected) {
  const Rig rig;
  const auto set = [&](std::uint8_t bank, std::uint64_t status, std::uint64_t mcg_status) {
    kvm_x86_mce mce{};
    mce.bank = bank;
    mce.status = status;
    mce.mcg_status = mcg_status;
    ASSERT_EQ(::ioctl(rig.fd(), KVM_X86_SET_MCE, &mce), 0);
  };
  set(2, std::uint64_t{1} << 63, 0);  // corrected
  set(5, kIntelRequired, 7);
  const auto line = shim::take_snapshot(*rig.lane());
  EXPECT_EQ(line.bank_val(), 1U << 2 | 1U << 5);
  EXPECT_EQ(line.bank_uc(), 1U << 5);
  EXPECT_EQ(line.mcg_status(), 7U);
  EXPECT_EQ(line.queued_exception(), 18U);
}

TEST_F(SnapshotTest, ShowsAVcpuThatWasNeverStarted) {
  const Rig rig(2);
  if (!rig.machine().has_irqchip()) GTEST_SKIP() << "no in-kernel interrupt controller";
  reference::reset_registers(rig.machine(), rig.fd(1), {.index = 1, .started = false});
  const auto line = shim::take_snapshot(*rig.lane(1));
  EXPECT_EQ(line.mp_state(), KVM_MP_STATE_UNINITIALIZED);
  EXPECT_EQ(line.vcpu(), 1U);
}

TEST_F(SnapshotTest, CarriesTheGenerationAndTheEpochItWasTakenUnder) {
  const Rig rig;
  memfail_guest_reset(rig.shim());
  memfail_guest_reset(rig.shim());
  const auto line = shim::take_snapshot(*rig.lane());
  EXPECT_EQ(line.guest_epoch(), 2U);
  EXPECT_EQ(line.region_generation(), 1U);
}

}  // namespace
}  // namespace memfail::test
