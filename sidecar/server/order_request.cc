// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/order_request.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "sidecar/events/event_json.h"

namespace memfail::server {
namespace {

using Json = nlohmann::ordered_json;
template <typename T>
using Result = std::expected<T, std::string>;

constexpr std::size_t kMostNamed = 4;  // sessions of one name, in a message

std::string shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 64);
}

// As events have them: a number, or "0x…".
std::optional<std::uint64_t> to_number(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (!value.is_string()) return std::nullopt;
  const std::string text = value.get<std::string>();
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const char* const first = text.data() + (hex ? 2 : 0);
  std::uint64_t number = 0;
  const auto [end, bad] = std::from_chars(first, text.data() + text.size(), number, hex ? 16 : 10);
  const bool whole = bad == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

// Reads members one after the other; the first that is wrong counts.
class Members {
 public:
  explicit Members(const Json& json) : json_(json) {}

  template <typename T>
  T number(const char* name, std::optional<T> otherwise = std::nullopt) {
    const auto found = json_.find(name);
    if (found == json_.end()) {
      if (!otherwise) fail(std::string("'") + name + "' is missing");
      return otherwise.value_or(T{});
    }
    const auto value = to_number(*found);
    constexpr std::uint64_t kMost = std::numeric_limits<T>::max();
    if (!value || *value > kMost) {
      fail(std::string("'") + name + "' is " + shown(*found) + "; it must be 0 to " +
           std::to_string(kMost));
      return T{};
    }
    return static_cast<T>(*value);
  }

  std::string text(const char* name) {
    const auto found = json_.find(name);
    if (found != json_.end() && found->is_string() && !found->get<std::string>().empty()) {
      return found->get<std::string>();
    }
    fail(std::string("'") + name + "' is missing, or is no text");
    return {};
  }

  bool flag(const char* name) {
    const auto found = json_.find(name);
    if (found == json_.end()) return false;
    if (!found->is_boolean()) {
      fail(std::string("'") + name + "' is " + shown(*found) + "; it must be true or false");
      return false;
    }
    return found->get<bool>();
  }

  void fail(const std::string& what) {
    if (error_.empty()) error_ = what;
  }

  Result<OrderRequest> done(OrderRequest request) const {
    if (!error_.empty()) return std::unexpected(error_);
    return request;
  }

 private:
  const Json& json_;
  std::string error_;
};

wire::DrillKind kind_of(Members& members) {
  const std::string kind = members.text("kind");
  if (kind != "ar" && kind != "ao")
    members.fail("'kind' is '" + kind.substr(0, 64) + "'; it must be ar or ao");
  return kind == "ao" ? wire::DrillKind::action_optional : wire::DrillKind::action_required;
}

bool means(const session::Session& session, const std::string& vm) {
  const session::VmLabel& label = session.label();
  return label.name == vm || label.uuid == vm || events::hex_id(label.session) == vm;
}

std::string ambiguous(const std::vector<const session::Session*>& found, const std::string& vm) {
  std::string text = "VM '" + vm + "' is " + std::to_string(found.size()) +
                     " sessions; give one of them as the VM:";
  for (std::size_t i = 0; i < found.size() && i < kMostNamed; ++i) {
    text += " " + events::hex_id(found[i]->label().session);
  }
  return text;
}

}  // namespace

Result<OrderRequest> drill_request(const Json& json) {
  Members members(json);
  const std::string vm = members.text("vm");
  const auto gpa = members.number<std::uint64_t>("gpa");
  const wire::DrillKind kind = kind_of(members);
  const auto vcpu = members.number<std::uint32_t>("vcpu", 0);
  return members.done({vm, session::DrillOrder{gpa, kind, vcpu}});
}

Result<OrderRequest> injection_request(const Json& json) {
  Members members(json);
  const std::string vm = members.text("vm");
  session::InjectionOrder order;
  order.vcpu = members.number<std::uint32_t>("cpu");
  order.record.bank = members.number<std::uint8_t>("bank");
  order.record.status = members.number<std::uint64_t>("status");
  order.record.mcg_status = members.number<std::uint64_t>("mcg-status");
  order.record.address = members.number<std::uint64_t>("addr");
  order.record.misc = members.number<std::uint64_t>("misc");
  order.broadcast = members.flag("broadcast");
  return members.done({vm, order});
}

Result<const session::Session*> find_vm(const session::SessionTable& table, const std::string& vm) {
  std::vector<const session::Session*> found;
  table.visit([&](const session::Session& session) {
    if (means(session, vm)) found.push_back(&session);
  });
  const std::string name = vm.substr(0, 127);
  if (found.empty()) {
    return std::unexpected("VM '" + name + "' is unknown; memfailctl status lists the " +
                           std::to_string(table.size()) + " there are");
  }
  if (found.size() > 1) return std::unexpected(ambiguous(found, name));
  if (found.front()->state() != session::SessionState::kAttached) {
    return std::unexpected("VM '" + name + "' is not attached now");
  }
  return found.front();
}

}  // namespace memfail::server
