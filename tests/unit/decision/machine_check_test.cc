// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/machine_check.h"

#include <gtest/gtest.h>

namespace memfail::decision {
namespace {

using wire::Vendor;

constexpr std::uint64_t kGpa = 0x7ffff000;

struct Literal {
  Vendor vendor;
  Severity severity;
  bool lmce;
  std::uint64_t status, mcg_status;
};

// Numbers as guests see them, from QEMU 9.1 and KVM; not composed of our bits.
constexpr Literal kLiterals[] = {
    {Vendor::intel, Severity::kActionRequired, false, 0xBD80000000000134, 0x7},
    {Vendor::intel, Severity::kActionRequired, true, 0xBD80000000000134, 0xF},
    {Vendor::intel, Severity::kActionOptional, false, 0xBD000000000000C0, 0x5},
    {Vendor::intel, Severity::kActionOptional, true, 0xBD000000000000C0, 0xD},
    {Vendor::amd, Severity::kActionRequired, false, 0xBC00080000000000, 0x7},
    {Vendor::amd, Severity::kActionRequired, true, 0xBC00080000000000, 0x7},
    {Vendor::amd, Severity::kActionOptional, false, 0x9C00180000000000, 0x5},
    {Vendor::amd, Severity::kActionOptional, true, 0x9C00180000000000, 0x5},
    {Vendor::unknown, Severity::kActionRequired, false, 0xBD80000000000134, 0x7},
    {Vendor::unknown, Severity::kActionOptional, true, 0xBD000000000000C0, 0xD},
};

TEST(MachineCheck, HasTheLiteralNumbersOfEachVendorAndSeverity) {
  for (const Literal& literal : kLiterals) {
    const MachineCheck record =
        page_record(literal.vendor, literal.severity, literal.lmce, 9, kGpa);
    EXPECT_EQ(record.status, literal.status);
    EXPECT_EQ(record.mcg_status, literal.mcg_status);
    EXPECT_EQ(record.address, kGpa);
    EXPECT_EQ(record.misc, 0x8Cu);
    EXPECT_EQ(record.bank, 9);
    EXPECT_TRUE(is_template(record));
  }
}

TEST(MachineCheck, HasNoRecordForWhatIsNoHardwareError) {
  const MachineCheck record = page_record(Vendor::intel, Severity::kNone, false, 9, kGpa);
  EXPECT_EQ(record.status, 0u);
  EXPECT_EQ(record.bank, wire::kNoBank);
  EXPECT_FALSE(is_template(record));
}

TEST(MachineCheck, TellsSiblingsWithoutAnAddressInBankOne) {
  const MachineCheck record = sibling_record();
  EXPECT_EQ(record.bank, 1);
  EXPECT_EQ(record.status, 0xA000000000000000u);
  EXPECT_EQ(record.mcg_status, 5u);
  EXPECT_EQ(record.address, 0u);
  EXPECT_EQ(record.misc, 0u);
  EXPECT_TRUE(is_template(record));
}

// KVM's own test for UCNA: MCG_STATUS 0, VAL and UC set, PCC, S and AR clear.
TEST(MachineCheck, MakesUcnaRecordsThatKvmTakesForUcna) {
  const MachineCheck record = ucna_record(3, kGpa);
  EXPECT_EQ(record.mcg_status, 0u);
  EXPECT_EQ(record.status & (kStatusVal | kStatusUc), kStatusVal | kStatusUc);
  EXPECT_EQ(record.status & (kStatusPcc | kStatusS | kStatusAr), 0u);
  EXPECT_TRUE(is_template(record));
}

TEST(MachineCheck, IsNoTemplateWithAnyOneBitOfStatusFlipped) {
  MachineCheck records[] = {sibling_record(),
                            ucna_record(9, kGpa),
                            page_record(Vendor::intel, Severity::kActionRequired, false, 9, kGpa),
                            page_record(Vendor::intel, Severity::kActionOptional, true, 9, kGpa),
                            page_record(Vendor::amd, Severity::kActionRequired, false, 9, kGpa),
                            page_record(Vendor::amd, Severity::kActionOptional, false, 9, kGpa)};
  for (const MachineCheck& record : records) {
    for (int bit = 0; bit < 64; ++bit) {
      MachineCheck status = record;
      status.status ^= std::uint64_t{1} << bit;
      EXPECT_FALSE(is_template(status)) << bit;
      MachineCheck misc = record;
      misc.misc ^= std::uint64_t{1} << bit;
      EXPECT_FALSE(is_template(misc)) << bit;
    }
  }
}

TEST(MachineCheck, AllowsOnlyTheLocalBitToDifferInMcgStatusAndOnlyForIntel) {
  for (const auto vendor : {Vendor::intel, Vendor::amd}) {
    const MachineCheck record = page_record(vendor, Severity::kActionRequired, false, 9, kGpa);
    for (int bit = 0; bit < 64; ++bit) {
      MachineCheck changed = record;
      changed.mcg_status ^= std::uint64_t{1} << bit;
      EXPECT_EQ(is_template(changed), vendor == Vendor::intel && bit == 3) << bit;
    }
  }
}

TEST(MachineCheck, IsNoTemplateOutsideBanksAndPages) {
  MachineCheck record = page_record(Vendor::intel, Severity::kActionRequired, false, 31, kGpa);
  EXPECT_TRUE(is_template(record));
  record.bank = 32;
  EXPECT_FALSE(is_template(record));
  record.bank = 9;
  record.address = kGpa + 8;
  EXPECT_FALSE(is_template(record));
  MachineCheck sibling = sibling_record();
  sibling.bank = 2;
  EXPECT_FALSE(is_template(sibling));
  sibling = sibling_record();
  sibling.address = kGpa;
  EXPECT_FALSE(is_template(sibling));
}

bool broadcasts_for(Vendor vendor, std::uint32_t eax) {
  GuestProfile guest;
  guest.vendor = vendor;
  guest.cpuid_1_eax = eax;
  return broadcasts(guest);
}

TEST(MachineCheck, IsBroadcastFromFamilySixModelFourteenOn) {
  EXPECT_FALSE(broadcasts_for(Vendor::intel, 0x00000543));  // family 5
  EXPECT_FALSE(broadcasts_for(Vendor::intel, 0x000006D8));  // 6, model 13
  EXPECT_TRUE(broadcasts_for(Vendor::intel, 0x000006E8));   // 6, model 14
  EXPECT_TRUE(broadcasts_for(Vendor::intel, 0x000106A5));   // 6, model 0x1A: extended
  EXPECT_TRUE(broadcasts_for(Vendor::intel, 0x00010600));   // 6, model 0x10
  EXPECT_TRUE(broadcasts_for(Vendor::intel, 0x00000F4A));   // family 15
  EXPECT_TRUE(broadcasts_for(Vendor::intel, 0x00400F10));   // family 19
  EXPECT_FALSE(broadcasts_for(Vendor::intel, 0x000F0543));  // extended fields of family 5
  EXPECT_TRUE(broadcasts_for(Vendor::unknown, 0x000106A5));
}

TEST(MachineCheck, IsNeverBroadcastOnAmd) {
  EXPECT_FALSE(broadcasts_for(Vendor::amd, 0x000106A5));
  EXPECT_FALSE(broadcasts_for(Vendor::amd, 0x00A20F10));
}

}  // namespace
}  // namespace memfail::decision
