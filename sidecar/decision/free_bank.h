// SPDX-License-Identifier: BSD-3-Clause
//
// The bank a record goes into. One that is VAL already would get OVER, of which a
// guest must conclude that it lost an error: Linux panics.
#pragma once

#include "sidecar/decision/types.h"

namespace memfail::decision {

enum class BankSearch : std::uint8_t { kFound, kNoneFree, kAllOff };

struct FreeBank {
  BankSearch search = BankSearch::kAllOff;
  std::uint8_t number = wire::kNoBank;
};

// The first bank that is on and not VAL: QEMU's number 9 first, since guests and
// their admins know it, then from the highest down; the bank of broadcast records
// comes before bank 0 only.
FreeBank free_bank(const GuestProfile& guest, const wire::SnapshotLine& snapshot);

// The one of a broadcast record: QEMU's number 1, and only if that holds a record the
// guest has not seen, another. kAllOff: bank 1 is off, or not there.
FreeBank sibling_bank(const GuestProfile& guest, const wire::SnapshotLine& snapshot);

}  // namespace memfail::decision
