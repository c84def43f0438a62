// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/binary.h"

namespace memfail::policy {

// Tables may share their bytes, so a small buffer could claim very many: the
// verifier's counts bound what is ever looked at.
const wire::PolicyFile* verified(std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() > kMaxBinary) return nullptr;
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier::Options limits;
  limits.max_depth = 8;
  limits.max_tables = kMaxVms + 2;  // the file and its default
  flatbuffers::Verifier verifier(data, bytes.size(), limits);
  return wire::VerifyPolicyFileBuffer(verifier) ? wire::GetPolicyFile(data) : nullptr;
}

}  // namespace memfail::policy
