// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/view.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace memfail::ctl {
namespace {

using nlohmann::json;

constexpr const char* kBold = "\x1b[1m";
constexpr const char* kRed = "\x1b[31m";
constexpr const char* kPlain = "\x1b[0m";

// Names come from VMs: control characters would reach the terminal.
std::string shown(const std::string& text) {
  std::string out = text;
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out;
}

std::string at(const json& object, const char* pointer) {
  const json::json_pointer path(pointer);
  if (!object.contains(path) || object.at(path).is_null()) return "-";
  const json& value = object.at(path);
  return shown(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string uptime(const json& session) {
  const auto found = session.find("uptime-seconds");
  if (found == session.end() || !found->is_number_unsigned()) return "-";
  const auto seconds = found->get<std::uint64_t>();
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%llud %02llu:%02llu:%02llu",
                static_cast<unsigned long long>(seconds / 86400),
                static_cast<unsigned long long>(seconds / 3600 % 24),
                static_cast<unsigned long long>(seconds / 60 % 60),
                static_cast<unsigned long long>(seconds % 60));
  return text.data();
}

std::string joined(const json& list) {
  std::string out;
  for (const json& item : list) {
    if (item.is_string()) out += (out.empty() ? "" : ", ") + shown(item.get<std::string>());
  }
  return out.empty() ? "none" : out;
}

std::string local_time(const json& event) {
  const json::json_pointer path("/timestamp/seconds");
  if (!event.contains(path) || !event.at(path).is_number_integer()) return "-";
  const auto seconds = event.at(path).get<std::time_t>();
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%F %T", &parts);
  return text.data();
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows, bool colour) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    const bool header = colour && &row == &rows.front();
    if (header) out += kBold;
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size() + 2, ' ');
    }
    out += header ? std::string(kPlain) + "\n" : "\n";
  }
  return out;
}

std::string status_view(const json& status, bool colour) {
  std::string out = "memfaild " + at(status, "/version") + ", policy " + at(status, "/policy") +
                    "\nsandbox: " + joined(status.value("sandbox", json::array())) +
                    "\nevents:  journal " + at(status, "/events/journal") + ", first " +
                    at(status, "/events/first-seq") + ", next " + at(status, "/events/next-seq") +
                    "\n\n";
  const json sessions = status.value("sessions", json::array());
  if (sessions.empty()) return out + "no VM is attached\n";
  std::vector<std::vector<std::string>> rows{
      {"UUID", "NAME", "STATE", "VCPUS", "REGIONS", "INCIDENTS", "OPEN", "LOST", "UPTIME"}};
  for (const json& one : sessions) {
    rows.push_back({at(one, "/uuid"), at(one, "/name"), at(one, "/state"), at(one, "/vcpus"),
                    at(one, "/regions"), at(one, "/incidents"), at(one, "/open"), at(one, "/lost"),
                    uptime(one)});
  }
  return out + table(rows, colour);
}

std::string event_view(const json& event, bool colour) {
  const std::string action = at(event, "/data/action");
  const bool bad = action == "fatal" || action == "reset";
  std::array<char, 256> line{};
  std::snprintf(line.data(), line.size(), "%6s  %s  %-16s %-10s %-6s vCPU %-3s gpa %-14s ",
                at(event, "/data/memfail/seq").c_str(), local_time(event).c_str(),
                at(event, "/data/memfail/vm/name").c_str(), at(event, "/data/recipient").c_str(),
                action.c_str(), at(event, "/data/memfail/vcpu").c_str(),
                at(event, "/data/memfail/gpa").c_str());
  return std::string(colour && bad ? kRed : "") + line.data() +
         at(event, "/data/memfail/delivered") + ": " + at(event, "/data/memfail/reason-text") +
         (colour && bad ? kPlain : "") + "\n";
}

}  // namespace memfail::ctl
