// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): memfd_create ftruncate fallocate=grow madvise=dont-fork
#include "shm/area.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "shm/descriptor.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace memfail::shm {
namespace {

std::size_t area_size(AreaKind kind, const Geometry& geometry) {
  return kind == AreaKind::kRequest ? geometry.request_size() : geometry.reply_size();
}

const char* area_name(AreaKind kind) {
  return kind == AreaKind::kRequest ? "request area" : "reply area";
}

wire::AreaHeader header_of(AreaKind kind, const Geometry& geometry, SessionId session) {
  const auto stride = kind == AreaKind::kRequest ? kLaneStride : wire::kLineSize;
  return {kAreaMagic,
          kAreaAbi,
          static_cast<std::uint32_t>(kind),
          geometry.vcpus(),
          kCellsPerLane,
          kSlots,
          static_cast<std::uint32_t>(stride),
          area_size(kind, geometry),
          wire::Id128(session.low, session.high),
          0};
}

std::unexpected<Error> refuse(AreaKind kind, const char* what) {
  return std::unexpected(Error{area_name(kind), what, 0, 0, errno});
}

// Sizes are computed from it; a caller that took it from a peer must not get by.
bool too_many_vcpus(const Geometry& geometry) { return geometry.vcpus() > kMaxVcpus; }

std::unexpected<Error> refuse_vcpus(const Geometry& geometry) {
  return std::unexpected(
      Error{"area vCPU count", "is above the limit", geometry.vcpus(), kMaxVcpus, 0});
}

int make_memfd(AreaKind kind) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const char* name = kind == AreaKind::kRequest ? "memfail-request" : "memfail-reply";
  const int fd = ::memfd_create(name, flags | MFD_NOEXEC_SEAL);
  // Kernels before 6.3 do not know the flag.
  return fd >= 0 || errno != EINVAL ? fd : ::memfd_create(name, flags);
}

// tmpfs gives up with EINTR when a signal is pending, and a VMM has many.
int allocate(int fd, std::size_t size) {
  int result = 0;
  do {
    result = ::fallocate(fd, 0, 0, static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  return result;
}

struct HeaderField {
  const char* name;
  std::uint64_t seen;
  std::uint64_t agreed;
};

// Compares, in the order a reader would ask; the geometry we use is our own.
std::expected<void, Error> compare_header(const wire::AreaHeader& seen,
                                          const wire::AreaHeader& agreed) {
  const HeaderField fields[] = {
      {"area magic", seen.magic(), agreed.magic()},
      {"area ABI version", seen.abi(), agreed.abi()},
      {"area kind", seen.kind(), agreed.kind()},
      {"area vCPU count", seen.vcpus(), agreed.vcpus()},
      {"area cells per lane", seen.cells_per_lane(), agreed.cells_per_lane()},
      {"area slots", seen.slots(), agreed.slots()},
      {"area lane stride", seen.lane_stride(), agreed.lane_stride()},
      {"area size", seen.size(), agreed.size()},
      {"area session id", seen.session().low(), agreed.session().low()},
      {"area session id", seen.session().high(), agreed.session().high()},
  };
  for (const HeaderField& field : fields) {
    if (field.seen != field.agreed) {
      return std::unexpected(
          Error{field.name, "differs from what was agreed", field.seen, field.agreed, 0});
    }
  }
  return {};
}

}  // namespace

std::expected<OwnArea, Error> make_area(AreaKind kind, const Geometry& geometry,
                                        SessionId session) {
  if (too_many_vcpus(geometry)) return refuse_vcpus(geometry);
  const std::size_t size = area_size(kind, geometry);
  OwnArea area;
  area.fd.reset(make_memfd(kind));
  if (!area.fd.valid()) return refuse(kind, "cannot be made");
  if (::ftruncate(area.fd.get(), static_cast<off_t>(size)) != 0 ||
      allocate(area.fd.get(), size) != 0) {
    return refuse(kind, "cannot be allocated");
  }
  void* address =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, area.fd.get(), 0);
  if (address == MAP_FAILED) return refuse(kind, "cannot be mapped");
  area.mapping = Mapping(address, size);
  // A forked child must not write into its parent's session.
  if (::madvise(address, size, MADV_DONTFORK) != 0) return refuse(kind, "cannot be kept from fork");
  const wire::AreaHeader header = header_of(kind, geometry, session);
  std::memcpy(address, &header, sizeof header);
  if (kind == AreaKind::kReply) {
    *reinterpret_cast<std::uint32_t*>(area.mapping.data() + wire::kLineSize) = 1;  // sleeping
  }
  // Sealed only now: FUTURE_WRITE keeps this mapping and refuses every later one.
  if (::fcntl(area.fd.get(), F_ADD_SEALS, kAreaSeals) != 0) return refuse(kind, "cannot be sealed");
  return area;
}

std::expected<Mapping, Error> open_peer_area(int fd, AreaKind kind, const Geometry& geometry,
                                             SessionId session) {
  if (too_many_vcpus(geometry)) return refuse_vcpus(geometry);
  const std::size_t size = area_size(kind, geometry);
  if (auto checked = check_area_descriptor(fd, size, area_name(kind)); !checked) {
    return std::unexpected(checked.error());
  }
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (address == MAP_FAILED) return refuse(kind, "cannot be mapped");
  Mapping mapping(address, size);
  (void)::madvise(address, size, MADV_DONTFORK);
  wire::AreaHeader seen;
  std::memcpy(&seen, address, sizeof seen);
  if (auto same = compare_header(seen, header_of(kind, geometry, session)); !same) {
    return std::unexpected(same.error());
  }
  return mapping;
}

std::expected<void, Error> replace_peer_area(int fd, AreaKind kind, const Geometry& geometry,
                                             SessionId session, const Mapping& over) {
  auto fresh = open_peer_area(fd, kind, geometry, session);
  if (!fresh) return std::unexpected(fresh.error());
  // One call replaces the old area: a waiting thread sees the one or the other.
  if (::mremap(fresh->data(), fresh->size(), fresh->size(), MREMAP_MAYMOVE | MREMAP_FIXED,
               over.data()) == MAP_FAILED) {
    return refuse(kind, "cannot be moved into place");
  }
  fresh->release();  // mremap has unmapped the address it came from
  return {};
}

}  // namespace memfail::shm
