// SPDX-License-Identifier: BSD-3-Clause
//
// A start on journal files that hold anything: headers and frames with a right checksum
// around any payload, in any order, and damage. It is recovered or refused; what was
// recovered can be read and written on.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "sidecar/journal/file_header.h"
#include "sidecar/journal/history.h"
#include "sidecar/journal/journal_files.h"
#include "tests/unit/journal/recorded_io.h"

namespace {

using namespace memfail::journal;
namespace wire = memfail::wire;

constexpr JournalGeometry kGeometry{3, 8192};
const wire::Id128 kJournal(1, 2);
const wire::Id128 kBoot(3, 4);

std::span<std::byte> part(std::vector<std::byte>& image, std::size_t from) {
  return std::span(image).subspan(from);
}

// A file as some memfaild might have left it, or not.
void fill(FuzzedDataProvider& data, std::vector<std::byte>& image) {
  const FrameKey key{kJournal, data.ConsumeIntegralInRange<std::uint64_t>(0, 5)};
  const auto header = encode(FileHeader{kJournal, key.generation, kGeometry.file_size});
  std::memcpy(image.data(), header.data(), header.size());
  std::size_t at = kFileHeaderSize;
  while (data.remaining_bytes() > 0 && data.ConsumeIntegralInRange<int>(0, 7) != 0) {
    const auto payload =
        data.ConsumeBytes<std::uint8_t>(data.ConsumeIntegralInRange<std::size_t>(0, 400));
    if (at + frame_size(payload.size()) > image.size()) return;
    const Record record{static_cast<RecordType>(data.ConsumeIntegralInRange<std::uint16_t>(0, 9)),
                        data.ConsumeIntegralInRange<std::uint64_t>(0, 20),
                        data.ConsumeIntegralInRange<std::uint64_t>(0, 20),
                        std::as_bytes(std::span(payload))};
    at += write_frame(part(image, at), key, record);
  }
}

void damage(FuzzedDataProvider& data, std::vector<std::byte>& image) {
  for (int i = data.ConsumeIntegralInRange<int>(0, 3); i > 0; --i) {
    const auto at = data.ConsumeIntegralInRange<std::size_t>(0, 511);
    image[at] = static_cast<std::byte>(data.ConsumeIntegral<std::uint8_t>());
  }
}

void read_all(JournalFiles& files) {
  History history;
  std::uint64_t next = files.first_seq();
  while (next <= files.durable_seq()) {
    const auto past = history.read(files, next, {16, 4096});
    if (!past) return;
    for (const PastEvent& event : past->events) {
      if (event.seq < next) std::abort();  // backwards, or twice
      next = event.seq + 1;
    }
    if (past->next < next || (past->events.empty() && past->next == next)) std::abort();
    next = past->next;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  auto io = std::make_unique<RecordedIo>(kGeometry.files, kGeometry.file_size);
  for (auto& image : io->images()) {
    if (data.ConsumeBool()) fill(data, image);
    damage(data, image);
  }
  auto found = recover(*io, kGeometry, "journal");
  if (!found) {
    if (found.error().empty()) std::abort();
    return 0;
  }
  const std::uint64_t number = found->state.next_number();
  const JournalIdentity identity{found->journal.value_or(kJournal), kBoot};
  JournalFiles files(std::move(io), kGeometry, identity, std::move(*found));
  if (!files.confirm()) return 0;
  read_all(files);
  const Record loss{RecordType::kPad, number, 0, {}};
  (void)files.append(std::span(&loss, 1));
  return 0;
}
