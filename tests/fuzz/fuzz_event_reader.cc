// SPDX-License-Identifier: BSD-3-Clause
//
// A reader of the event stream that sends anything, in any pieces.
#include <fuzzer/FuzzedDataProvider.h>

#include "sidecar/events/subscriber.h"
#include "sidecar/journal/event_history.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  memfail::journal::RecordStore store("memory-fuzz");
  memfail::journal::EventHistory source(store);
  for (int i = data.ConsumeIntegralInRange<int>(0, 5); i > 0; --i) store.append_event({});
  memfail::events::Subscriber reader(source);
  while (data.remaining_bytes() > 0) {
    const std::string piece = data.ConsumeRandomLengthString();
    reader.take_input(piece);
    if (data.ConsumeIntegralInRange<int>(0, 7) == 0) reader.asks_nothing();
    reader.consumed(reader.output().size());
  }
  reader.input_ended();
  reader.consumed(reader.output().size());
  return 0;
}
