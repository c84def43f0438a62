// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/event_table.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "sidecar/ctl/json_text.h"
#include "sidecar/policy/utf8.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

constexpr const char* kBold = "\x1b[1m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kRed = "\x1b[1;31m";
constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kGreen = "\x1b[32m";
constexpr const char* kPlain = "\x1b[0m";

constexpr std::size_t kBesideFrom = 160;  // columns of the terminal
constexpr std::size_t kWideFrom = 124;
constexpr std::size_t kIndent = 8;
constexpr std::size_t kWidestVm = 24;
constexpr std::size_t kNarrowVm = 16;  // where all is narrow

std::string time_as(const json& event, const char* format) {
  const json::json_pointer path("/timestamp/seconds");
  if (!event.contains(path) || !event.at(path).is_number_integer()) return "-";
  const auto seconds = event.at(path).get<std::time_t>();
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), format, &parts);
  return text.data();
}

std::uint64_t number_at(const json& object, const char* pointer, std::uint64_t otherwise) {
  const json::json_pointer path(pointer);
  if (!object.contains(path) || !object.at(path).is_number_unsigned()) return otherwise;
  return object.at(path).get<std::uint64_t>();
}

bool flag_at(const json& object, const char* pointer) {
  const json::json_pointer path(pointer);
  return object.contains(path) && object.at(path) == true;
}

std::string size_of(const json& event) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::uint64_t size = number_at(event, "/data/memfail/size", 0);
  std::size_t unit = 0;
  for (; size >= 1024 && size % 1024 == 0 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return size == 0 ? "-" : std::to_string(size) + ' ' + kUnits[unit];
}

// The guest's address; the VMM's where the guest has none there.
std::string address_of(const json& event) {
  const std::string gpa = text_at(event, "/data/memfail/gpa");
  const std::string hva = text_at(event, "/data/memfail/hva");
  return gpa != "-" || hva == "-" ? gpa : "hva " + hva;
}

const char* colour_of_action(const std::string& action) {
  if (action == "fatal" || action == "reset") return kRed;
  return action == "inject" ? kYellow : nullptr;
}

const char* colour_of_result(const std::string& result) {
  if (result == "delivered") return kGreen;
  if (result == "dropped" || result == "failed" || result == "triple-fault") return kRed;
  return result == "none" || result == "-" ? nullptr : kYellow;
}

// Broken at blanks, each further line behind `indent`.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  const std::size_t room = width > indent + kIndent ? width - indent : width;
  while (columns_of(text) > room) {
    const std::size_t blank = text.rfind(' ', room);
    if (blank == std::string_view::npos || blank == 0) break;
    out += std::string(text.substr(0, blank)) + '\n' + std::string(indent, ' ');
    text.remove_prefix(blank + 1);
  }
  return out + std::string(text);
}

}  // namespace

EventTable::EventTable(Style style)
    : style_(style),
      beside_(style.width == 0 || style.width >= kBesideFrom),
      wide_(style.width == 0 || style.width >= kWideFrom) {}

std::string EventTable::line_of(const std::vector<Cell>& cells) const {
  std::string out;
  for (const Cell& cell : cells) {
    const std::size_t columns = columns_of(cell.text);
    const std::string fill(cell.width > columns ? cell.width - columns : 0, ' ');
    const bool coloured = style_.colour && cell.colour != nullptr;
    const std::string text = coloured ? cell.colour + cell.text + kPlain : cell.text;
    out += (cell.right ? fill + text : text + fill) + "  ";
  }
  return out;
}

std::vector<EventTable::Cell> EventTable::titles() const {
  std::vector<Cell> cells{{"SEQ", 6, true},  {"TIME", wide_ ? 19U : 8U}, {"VM", vm_width_},
                          {"TO/ACTION", 17}, {"VCPU", 4, true},          {"ADDRESS", 18}};
  if (wide_) {
    cells.push_back({"SIZE", 8, true});
    cells.push_back({"RESULT", 12});
  }
  return cells;
}

std::string EventTable::header() const {
  std::string text = line_of(titles()) + (beside_ ? "REASON" : "");
  text.erase(text.find_last_not_of(' ') + 1);
  return style_.colour ? kBold + text + kPlain + "\n" : text + "\n";
}

// The column grows with the names, up to a limit on a terminal.
std::string EventTable::vm_of(const json& event) {
  std::string name = text_at(event, "/data/memfail/vm/name");
  if (name == "-") name = text_at(event, "/data/memfail/vm/uuid");
  const std::size_t widest = wide_ ? kWidestVm : kNarrowVm;
  if (style_.width != 0 && columns_of(name) > widest) name = policy::shown(name, widest - 3);
  vm_width_ = std::max(vm_width_, std::min(columns_of(name), widest));
  return name;
}

std::vector<EventTable::Cell> EventTable::cells_of(const json& event) {
  const std::string vm = vm_of(event);
  const std::string action = text_at(event, "/data/action");
  const std::string result = text_at(event, "/data/memfail/delivered");
  std::vector<Cell> cells = titles();
  cells[0].text = text_at(event, "/data/memfail/seq");
  cells[1].text = time_as(event, wide_ ? "%F %T" : "%T");
  cells[2].text = vm;
  cells[3].text = text_at(event, "/data/recipient") + '/' + action;
  cells[3].colour = colour_of_action(action);
  cells[4].text = text_at(event, "/data/memfail/vcpu");
  cells[5].text = address_of(event);
  if (wide_) {
    cells[6].text = size_of(event);
    cells[7].text = result;
    cells[7].colour = colour_of_result(result);
  }
  return cells;
}

std::string EventTable::reason_of(const json& event) const {
  const std::string result = text_at(event, "/data/memfail/delivered");
  const std::string by = text_at(event, "/data/memfail/decided-by");
  const std::uint64_t count = number_at(event, "/data/memfail/count", 1);
  std::string text;
  if (flag_at(event, "/data/memfail/drill")) text += "drill: ";
  if (!wide_ && result != "none" && result != "-") text += result + ": ";
  text += text_at(event, "/data/memfail/reason-text");
  if (count > 1) text += "; stands for " + std::to_string(count) + " incidents";
  if (by == "builtin" || by == "vmm" || by == "abort") text += "; decided by the VMM (" + by + ")";
  if (flag_at(event, "/data/memfail/late")) text += "; memfaild's verdict came late";
  return text;
}

std::string EventTable::day_line(const json& event) {
  std::string day = wide_ ? "" : time_as(event, "%F");
  if (day == day_) return "";
  day_ = day;
  return style_.colour ? kDim + day + kPlain + "\n" : day + "\n";
}

std::string EventTable::row(const json& event) {
  std::string out = day_line(event);
  const std::vector<Cell> cells = cells_of(event);
  const std::string line = line_of(cells);
  const std::string reason = reason_of(event);
  if (style_.width == 0) return out + line + reason + "\n";
  if (!beside_) {
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n" + std::string(kIndent, ' ');
    return out + wrapped(reason, kIndent, style_.width) + "\n";
  }
  std::size_t indent = 0;
  for (const Cell& cell : cells) indent += std::max(cell.width, columns_of(cell.text)) + 2;
  return out + line + wrapped(reason, indent, style_.width) + "\n";
}

}  // namespace memfail::ctl
