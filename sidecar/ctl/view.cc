// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/view.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "sidecar/ctl/json_text.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

constexpr const char* kBold = "\x1b[1m";
constexpr const char* kPlain = "\x1b[0m";

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

// What an operator must know of the records, in a line.
std::string journal_line(const json& journal) {
  if (!journal.is_object()) return "-";
  const bool on_disk = journal.value("directory", json()).is_string();
  const bool front = journal.value("front", json()).is_string();
  std::string out = on_disk ? text_at(journal, "/directory") : "none";
  out += front ? ", front " + text_at(journal, "/front") + " (" + text_at(journal, "/front-used") +
                     " of " + text_at(journal, "/front-capacity") + " bytes)"
               : ", no front: a death of memfaild loses what is recorded";
  if (front && !on_disk) out += ": survives memfaild, not the host";
  if (journal.value("degraded", false)) {
    out += "\nDEGRADED: " + text_at(journal, "/trouble") + "; " + text_at(journal, "/at-risk") +
           " event(s) at risk, " + text_at(journal, "/counted-only") + " incident(s) only counted";
  }
  return out;
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows, bool colour) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    const bool header = colour && &row == &rows.front();
    if (header) out += kBold;
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - columns_of(row[i]) + 2, ' ');
    }
    out += header ? std::string(kPlain) + "\n" : "\n";
  }
  return out;
}

// Never lower than the operator thinks: what is missing stands below what is there.
std::string sandbox_lines(const json& status) {
  std::string out = joined(status.value("sandbox", json::array()));
  const std::string grade = status.value("sandbox-grade", "");
  if (!grade.empty()) out = grade + ": " + (out.empty() ? "nothing in force" : out);
  for (const json& layer : status.value("sandbox-missing", json::array())) {
    out += "\n         MISSING " + layer.get<std::string>();
  }
  const std::string warning = status.value("sandbox-warning", "");
  return warning.empty() ? out : out + "\n         WARNING " + warning;
}

std::string status_view(const json& status, bool colour) {
  std::string out = "memfaild " + text_at(status, "/version") + ", policy " +
                    text_at(status, "/policy") + "\nsandbox: " + sandbox_lines(status) +
                    "\nevents:  journal " + text_at(status, "/events/journal") + ", first " +
                    text_at(status, "/events/first-seq") + ", next " +
                    text_at(status, "/events/next-seq") +
                    "\njournal: " + journal_line(status.value("journal", json())) + "\n\n";
  const json sessions = status.value("sessions", json::array());
  if (sessions.empty()) return out + "no VM is attached\n";
  std::vector<std::vector<std::string>> rows{
      {"UUID", "NAME", "STATE", "VCPUS", "REGIONS", "INCIDENTS", "OPEN", "LOST", "UPTIME"}};
  for (const json& one : sessions) {
    rows.push_back({text_at(one, "/uuid"), text_at(one, "/name"), text_at(one, "/state"),
                    text_at(one, "/vcpus"), text_at(one, "/regions"), text_at(one, "/incidents"),
                    text_at(one, "/open"), text_at(one, "/lost"), uptime(one)});
  }
  return out + table(rows, colour);
}

std::string pages_view(const json& pages, bool colour) {
  std::vector<std::vector<std::string>> rows{
      {"VM", "GUEST ADDRESS", "SIZE", "TOLD", "REPORTS", "REPAIRED", "DRILL"}};
  for (const json& one : pages.value("pages", json::array())) {
    rows.push_back({text_at(one, "/vm"), text_at(one, "/gpa"), text_at(one, "/size"),
                    text_at(one, "/told-pages"), text_at(one, "/reports"),
                    text_at(one, "/repaired"), text_at(one, "/drill")});
  }
  return rows.size() == 1 ? "no page is known to be broken\n" : table(rows, colour);
}

}  // namespace memfail::ctl
