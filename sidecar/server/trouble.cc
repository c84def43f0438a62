// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/trouble.h"

#include <cerrno>
#include <cstring>

namespace memfail::server {
namespace {

std::string crowded_text(const journal::StoreStatus& status) {
  return "sessions and open incidents take " + std::to_string(status.checkpoint_size) +
         " bytes of a checkpoint, the limit is " + std::to_string(status.checkpoint_limit) +
         ": new ones are served and told, but a death of memfaild forgets their verdicts; " +
         std::to_string(status.unrecorded) +
         " so far; a new journal with a larger --journal-size, or without one a new front with a "
         "larger --front-size, has room for more";
}

}  // namespace

Trouble trouble_of(const journal::StoreStatus& status) {
  if (status.front_lost) return Trouble::kFrontLost;
  if (status.hung) return Trouble::kDiskHangs;
  if (status.error == EBADMSG) return Trouble::kFrontChanged;
  if (status.error != 0) return Trouble::kDiskFails;
  if (status.crowded) return Trouble::kCrowded;
  return status.degraded ? Trouble::kFrontFull : Trouble::kNone;
}

std::string trouble_text(const journal::StoreStatus& status) {
  switch (trouble_of(status)) {
    case Trouble::kNone:
      break;
    case Trouble::kFrontLost:
      return "a page of the front is lost, this host's memory is broken there: restart memfaild";
    case Trouble::kDiskHangs:
      return "the disk does not answer";
    case Trouble::kFrontChanged:
      return "what is in the front was changed behind our back: restart memfaild";
    case Trouble::kDiskFails:
      return std::strerror(status.error);
    case Trouble::kCrowded:
      return crowded_text(status);
    case Trouble::kFrontFull:
      return "the front is full";
  }
  return "";
}

}  // namespace memfail::server
