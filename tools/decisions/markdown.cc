// SPDX-License-Identifier: BSD-3-Clause
#include "tools/decisions/markdown.h"

namespace memfail::docs {
namespace {

std::string row(const Cells& cells) {
  std::string text = "|";
  for (const std::string& cell : cells) text += ' ' + cell + " |";
  return text + '\n';
}

}  // namespace

std::string table(const std::vector<Cells>& rows) {
  std::string text;
  for (const Cells& cells : rows) {
    text += row(cells);
    if (&cells == rows.data()) text += row(Cells(cells.size(), "---"));
  }
  return text;
}

std::string code(std::string_view text) { return '`' + std::string(text) + '`'; }

std::string bold(const std::string& text, bool on) { return on ? "**" + text + "**" : text; }

}  // namespace memfail::docs
