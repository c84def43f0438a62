// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/probe_table.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

namespace memfail::kill {
namespace {

constexpr std::uint32_t kProbeNote = 3;  // n_type of a "stapsdt" note
constexpr std::string_view kProvider = "memfail";

// A file's bytes, of which nothing is believed: what lies outside reads as none.
class Image {
 public:
  explicit Image(std::vector<char> bytes) : bytes_(std::move(bytes)) {}

  template <typename T>
  [[nodiscard]] std::optional<T> at(std::uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  [[nodiscard]] std::string text(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return {};
    const char* from = bytes_.data() + offset;
    return {from, ::strnlen(from, bytes_.size() - offset)};
  }

 private:
  std::vector<char> bytes_;
};

std::optional<std::vector<char>> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = in.tellg();
  if (size < 0) return std::nullopt;
  std::vector<char> bytes(static_cast<std::size_t>(size));
  in.seekg(0);
  in.read(bytes.data(), size);
  return in ? std::optional(std::move(bytes)) : std::nullopt;
}

struct Sections {
  std::vector<Elf64_Shdr> all;
  std::uint64_t names = 0;  // offset of their names' table
};

Sections sections_of(const Image& image, const Elf64_Ehdr& header) {
  Sections sections;
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto one = image.at<Elf64_Shdr>(header.e_shoff + i * header.e_shentsize);
    if (one) sections.all.push_back(*one);
  }
  if (header.e_shstrndx < sections.all.size()) {
    sections.names = sections.all[header.e_shstrndx].sh_offset;
  }
  return sections;
}

// Addresses become offsets in the file: those hold wherever it is mapped.
std::optional<std::uint64_t> offset_of(const Image& image, const Elf64_Ehdr& header,
                                       std::uint64_t address) {
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto part = image.at<Elf64_Phdr>(header.e_phoff + i * header.e_phentsize);
    if (!part || part->p_type != PT_LOAD || address < part->p_vaddr) continue;
    if (address - part->p_vaddr < part->p_filesz) return address - part->p_vaddr + part->p_offset;
  }
  return std::nullopt;
}

struct Probe {
  std::uint64_t address = 0;
  std::string provider;
  std::string name;
};

// A note's description: where it is, where .stapsdt.base was, a semaphore; then text.
// Nothing here is prelinked: the address holds as it is.
Probe probe_at(const Image& image, std::uint64_t description) {
  Probe probe;
  probe.address = image.at<std::uint64_t>(description).value_or(0);
  const std::uint64_t text = description + 3 * sizeof(std::uint64_t);
  probe.provider = image.text(text);
  probe.name = image.text(text + probe.provider.size() + 1);
  return probe;
}

std::uint64_t padded(std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; }

std::vector<Probe> probes_in(const Image& image, const Elf64_Shdr& section) {
  std::vector<Probe> probes;
  const std::uint64_t end = section.sh_offset + section.sh_size;
  for (std::uint64_t at = section.sh_offset; at < end;) {
    const auto note = image.at<Elf64_Nhdr>(at);
    if (!note) break;
    const std::uint64_t description = at + sizeof *note + padded(note->n_namesz);
    if (note->n_type == kProbeNote) probes.push_back(probe_at(image, description));
    at = description + padded(note->n_descsz);
  }
  return probes;
}

}  // namespace

std::expected<ProbeTable, std::string> ProbeTable::read(const std::string& path) {
  auto bytes = read_file(path);
  if (!bytes) return std::unexpected(path + ": cannot be read");
  const Image image(std::move(*bytes));
  const auto header = image.at<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
    return std::unexpected(path + ": no ELF file");
  }
  ProbeTable table;
  table.path_ = path;
  const Sections sections = sections_of(image, *header);
  for (const Elf64_Shdr& section : sections.all) {
    if (image.text(sections.names + section.sh_name) != ".note.stapsdt") continue;
    for (const Probe& probe : probes_in(image, section)) {
      if (probe.provider != kProvider) continue;
      const auto offset = offset_of(image, *header, probe.address);
      if (!offset) return std::unexpected(path + ": step " + probe.name + " is in no segment");
      table.places_[probe.name].push_back(*offset);
    }
  }
  return table;
}

std::vector<std::uint64_t> ProbeTable::places(const std::string& step) const {
  const auto found = places_.find(step);
  return found == places_.end() ? std::vector<std::uint64_t>{} : found->second;
}

std::vector<std::string> ProbeTable::steps() const {
  std::vector<std::string> names;
  for (const auto& [name, places] : places_) names.push_back(name);
  return names;
}

}  // namespace memfail::kill
