// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/filter.h"

#include <algorithm>
#include <utility>

#include "sidecar/events/event_json.h"
#include "sidecar/policy/utf8.h"

namespace memfail::events {
namespace {

std::string_view text_of(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}

// An event of memfaild itself (a policy was changed) has no VM that a pattern could mean.
bool has_vm(const wire::EventRecord& event) {
  const wire::Id128* session = event.session();
  return (session != nullptr && (session->low() != 0 || session->high() != 0)) ||
         !text_of(event.vm_name()).empty() || !text_of(event.vm_uuid()).empty();
}

}  // namespace

std::expected<void, std::string> Filter::add_vm(std::string_view pattern) {
  auto name = policy::Glob::parse(pattern);
  if (!name) return std::unexpected(name.error());
  vms_.push_back({std::string(pattern), std::move(*name)});
  return {};
}

bool Filter::passes_vm(const wire::EventRecord& event) const {
  if (!has_vm(event)) return false;
  const std::u32string name = policy::decode_all(text_of(event.vm_name()));
  const std::string_view uuid = text_of(event.vm_uuid());
  const std::string session = event.session() == nullptr ? "" : hex_id(*event.session());
  return std::ranges::any_of(vms_, [&](const Vm& vm) {
    return vm.text == uuid || vm.text == session || vm.name.matches(name);
  });
}

bool Filter::passes(const wire::EventRecord& event) const {
  return (actions_.none() || actions_.test(static_cast<std::size_t>(event.action()))) &&
         (reasons_.none() || reasons_.test(static_cast<std::size_t>(event.reason()))) &&
         (vms_.empty() || passes_vm(event));
}

}  // namespace memfail::events
