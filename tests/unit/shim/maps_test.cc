// SPDX-License-Identifier: BSD-3-Clause
//
// Lines as kernels have written them.
#include "vmm_shim/maps.h"

#include <gtest/gtest.h>

#include <string>

namespace memfail::test {
namespace {

using shim::Backing;

Backing backing(const std::string& line) {
  const auto entry = shim::parse_maps_line(line);
  EXPECT_TRUE(entry) << line;
  return entry ? shim::backing_of(*entry) : Backing::kPrivateFile;
}

TEST(MapsLine, AllItsFieldsAreTaken) {
  const std::string line =
      "7f2c4e600000-7f2c4e800000 rw-s 00200000 fe:1a 1026                       /srv/guest.ram";
  const auto entry = shim::parse_maps_line(line);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->start, 0x7f2c4e600000U);
  EXPECT_EQ(entry->end, 0x7f2c4e800000U);
  EXPECT_TRUE(entry->shared);
  EXPECT_EQ(entry->offset, 0x200000U);
  EXPECT_EQ(entry->device, (shim::Device{0xfe, 0x1a}));
  EXPECT_EQ(entry->inode, 1026U);
  EXPECT_EQ(entry->name, "/srv/guest.ram");
}

TEST(MapsLine, AnonymousMemoryHasNoName) {
  const auto entry = shim::parse_maps_line("7ffd0c400000-7ffd0c421000 rw-p 00000000 00:00 0 ");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->name, "");
  EXPECT_FALSE(entry->shared);
}

TEST(MapsLine, AddressesMayBeTheLargestThereAre) {
  const std::string vsyscall =
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]";
  const auto entry = shim::parse_maps_line(vsyscall);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->end, 0xffffffffff601000U);
  EXPECT_TRUE(shim::parse_maps_line(
      "00400000-00401000 r--p fffffffffffff000 ffff:fffff 18446744073709551615 /x"));
}

TEST(MapsLine, ANameKeepsItsSpacesAndItsSpelledNewlines) {
  const auto entry = shim::parse_maps_line(
      "7f0000000000-7f0000001000 rw-s 00000000 00:1b 5     /dev/shm/a  b\\012c (deleted) "
      "(deleted)");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->name, "/dev/shm/a  b\\012c (deleted) (deleted)");
}

TEST(MapsLine, OfAnotherFormIsNone) {
  for (const char* line : {
           "",
           " ",
           "Size:                  4 kB",
           "7f0000001000-7f0000000000 rw-p 00000000 00:00 0",       // ends before it begins
           "7f0000000000-7f0000000000 rw-p 00000000 00:00 0",       // empty
           "-7f0000001000 rw-p 00000000 00:00 0",
           "7f0000000000 7f0000001000 rw-p 00000000 00:00 0",
           "17f0000000000000f-17f00000000000010 rw-p 00000000 00:00 0",  // 68 bits
           "7f0000000000-7f0000001000 rwp 00000000 00:00 0",
           "7f0000000000-7f0000001000  00000000 00:00 0",
           "7f0000000000-7f0000001000 rw-p 00000000 0000 0",
           "7f0000000000-7f0000001000 rw-p 00000000 00:100000000 0",
           "7f0000000000-7f0000001000 rw-p 00000000 00:00",
           "7f0000000000-7f0000001000 rw-p 00000000 00:00 x",
       }) {
    EXPECT_FALSE(shim::parse_maps_line(line)) << '"' << line << '"';
  }
}

TEST(MapsLine, CutBehindTheInodeItIsStillOne) {
  EXPECT_TRUE(shim::parse_maps_line("7f0000000000-7f0000001000 rw-p 00000000 00:00 0"));
}

TEST(Backing, IsToldByRightsAndName) {
  const std::string at = "7f0000000000-7f0000200000 ";
  EXPECT_EQ(backing(at + "rw-p 00000000 00:00 0 "), Backing::kAnonymous);
  EXPECT_EQ(backing(at + "rw-p 00000000 00:00 0 [heap]"), Backing::kAnonymous);
  EXPECT_EQ(backing(at + "rw-p 00000000 00:00 0 [anon:guest ram]"), Backing::kAnonymous);
  EXPECT_EQ(backing(at + "rw-p 00000000 00:0f 108 /anon_hugepage (deleted)"),
            Backing::kAnonymousHugetlb);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:0f 108 /anon_hugepage (deleted)"),
            Backing::kKernelMemory);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:01 2 /memfd:ram x (deleted)"), Backing::kKernelMemory);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:01 2 /memfd: (deleted)"), Backing::kKernelMemory);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:01 2 /memfd:a\\012b (deleted)"), Backing::kKernelMemory);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:01 2 /dev/zero (deleted)"), Backing::kKernelMemory);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:01 2 /SYSV00000000 (deleted)"), Backing::kKernelMemory);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:01 2 [anon_shmem:ram]"), Backing::kKernelMemory);
}

TEST(Backing, AFileIsPrivateOrShared) {
  const std::string at = "7f0000000000-7f0000200000 ";
  EXPECT_EQ(backing(at + "rw-p 00000000 00:01 2 /memfd:ram (deleted)"), Backing::kPrivateFile);
  EXPECT_EQ(backing(at + "rw-p 00000000 00:1b 2 /dev/hugepages/ram (deleted)"),
            Backing::kPrivateFile);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:1b 2 /dev/hugepages/ram (deleted)"),
            Backing::kSharedFile);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:0e 2 anon_inode:kvm-vcpu:0"), Backing::kSharedFile);
}

// A file that only looks like the kernel's own is not taken for it.
TEST(Backing, AFileOfSuchANameOnADiskIsASharedFile) {
  const std::string at = "7f0000000000-7f0000200000 ";
  EXPECT_EQ(backing(at + "rw-s 00000000 08:01 2 /memfd:ram (deleted)"), Backing::kSharedFile);
  EXPECT_EQ(backing(at + "rw-s 00000000 00:1b 2 /memfd:ram"), Backing::kSharedFile);
  EXPECT_EQ(backing(at + "rw-p 00000000 08:01 2 /anon_hugepage (deleted)"), Backing::kPrivateFile);
  EXPECT_EQ(backing(at + "rw-p 00000000 00:1b 2 /anon_hugepage"), Backing::kPrivateFile);
}

TEST(MountLine, GivesDeviceAndType) {
  const std::string line =
      "41 26 0:38 / /dev/hugepages rw,relatime shared:9 master:1 - hugetlbfs hugetlbfs "
      "rw,pagesize=2M";
  const auto mount = shim::parse_mount_line(line);
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->device, (shim::Device{0, 38}));
  EXPECT_EQ(mount->file_system, "hugetlbfs");
}

TEST(MountLine, OptionalFieldsAndOddNamesDoNotMislead) {
  const auto bare = shim::parse_mount_line("4 1 0:2 / / rw - rootfs rootfs rw");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->file_system, "rootfs");
  const auto odd = shim::parse_mount_line(
      "36 35 98:0 /a\\040-\\040b /mnt\\040-\\040tmpfs rw - ext4 /dev/x\\040-\\040y rw");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->file_system, "ext4");
}

TEST(MountLine, OfAnotherFormIsNone) {
  for (const char* line : {"", "41 26 0:38 / /dev/hugepages rw,relatime shared:9",
                           "41 26 0-38 / /x rw - tmpfs t rw", "41 26 0:38 / /x rw - ",
                           "41 0:38 / /x rw - tmpfs t rw", "x 26 0:38 / /x rw - tmpfs t rw"}) {
    EXPECT_FALSE(shim::parse_mount_line(line)) << '"' << line << '"';
  }
}

TEST(MemoryFileSystem, AreTmpfsAndHugetlbfsOnly) {
  EXPECT_TRUE(shim::is_memory_file_system("tmpfs"));
  EXPECT_TRUE(shim::is_memory_file_system("hugetlbfs"));
  for (const char* type : {"ext4", "xfs", "btrfs", "overlay", "ramfs", "devtmpfs", "tmpfs2", ""}) {
    EXPECT_FALSE(shim::is_memory_file_system(type)) << type;
  }
}

}  // namespace
}  // namespace memfail::test
