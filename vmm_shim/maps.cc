// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/maps.h"

#include <charconv>
#include <system_error>

namespace memfail::shim {
namespace {

// Takes a line apart from its front; once something was not as expected, nothing is.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  template <typename T>
  Fields& number(T& value, int base) {
    const char* const end = rest_.data() + rest_.size();
    const auto [after, error] = std::from_chars(rest_.data(), end, value, base);
    ok_ = ok_ && error == std::errc{};
    rest_.remove_prefix(static_cast<std::size_t>(after - rest_.data()));
    return *this;
  }
  Fields& literal(char wanted) {
    ok_ = ok_ && rest_.starts_with(wanted);
    if (ok_) rest_.remove_prefix(1);
    return *this;
  }
  // Up to the next space, or the end; never empty.
  Fields& word(std::string_view& value) {
    const std::size_t space = rest_.find(' ');
    value = {rest_.data(), space == std::string_view::npos ? rest_.size() : space};
    ok_ = ok_ && !value.empty();
    rest_.remove_prefix(value.size());
    return *this;
  }
  Fields& spaces() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
    return *this;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace

// 7f2c4e600000-7f2c4e800000 rw-s 00000000 00:01 1026          /memfd:ram (deleted)
std::optional<MapsEntry> parse_maps_line(std::string_view line) {
  MapsEntry entry;
  std::string_view rights;
  Fields fields(line);
  fields.number(entry.start, 16).literal('-').number(entry.end, 16).literal(' ');
  fields.word(rights).literal(' ').number(entry.offset, 16).literal(' ');
  fields.number(entry.device.major, 16).literal(':').number(entry.device.minor, 16).literal(' ');
  fields.number(entry.inode, 10).spaces();
  if (!fields.ok() || rights.size() != 4 || entry.start >= entry.end) return std::nullopt;
  entry.shared = rights[3] == 's';
  entry.name = fields.rest();
  return entry;
}

Backing backing_of(const MapsEntry& entry) {
  // The kernel's own mounts have no other mark than these names, which no file of a
  // VMM's has: it would be a deleted one of the root folder.
  constexpr std::string_view kDeleted = " (deleted)";
  const auto named = [&](std::string_view prefix) {
    return entry.device.major == 0 && entry.name.starts_with(prefix) &&
           entry.name.ends_with(kDeleted);
  };
  const bool hugetlb = named("/anon_hugepage");
  if (!entry.shared) {
    if (entry.inode == 0) return Backing::kAnonymous;
    return hugetlb ? Backing::kAnonymousHugetlb : Backing::kPrivateFile;
  }
  const bool kernel_memory = hugetlb || named("/memfd:") || named("/dev/zero") || named("/SYSV") ||
                             entry.name.starts_with("[anon_shmem:");
  return kernel_memory ? Backing::kKernelMemory : Backing::kSharedFile;
}

// 41 26 0:26 / /dev/hugepages rw,relatime shared:9 - hugetlbfs hugetlbfs rw,pagesize=2M
std::optional<MountEntry> parse_mount_line(std::string_view line) {
  MountEntry entry;
  std::uint32_t id = 0;
  Fields fields(line);
  fields.number(id, 10).literal(' ').number(id, 10).literal(' ');
  fields.number(entry.device.major, 10).literal(':').number(entry.device.minor, 10).literal(' ');
  if (!fields.ok()) return std::nullopt;
  // Spaces inside of a field are escaped here, so that a lone dash is the separator.
  std::string_view rest = fields.rest();
  const std::size_t dash = rest.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(dash + 3);
  if (!Fields(rest).word(entry.file_system).ok()) return std::nullopt;
  return entry;
}

bool is_memory_file_system(std::string_view type) { return type == "tmpfs" || type == "hugetlbfs"; }

}  // namespace memfail::shim
