// SPDX-License-Identifier: BSD-3-Clause
//
// A VMM's side of the contract, spoken by hand so that it can also be broken.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "schema/control_generated.h"
#include "shm/area.h"
#include "shm/lane.h"

namespace memfail::test {

struct HelloFields {
  std::uint32_t version_min = 1;
  std::uint32_t version_max = 1;
  wire::Id128 session{1, 2};
  std::optional<wire::Id128> resume_key = std::nullopt;
  std::string uuid = "00000000-0000-0000-0000-000000000001";
  std::string name = "vm1";
  std::uint32_t vcpus = 2;
  std::uint64_t features = 0;
  std::uint32_t vmm_pid = static_cast<std::uint32_t>(::getpid());  // its own word
};

struct RegionFields {
  std::uint32_t slot = 0;
  std::uint64_t gpa = 0;
  std::uint64_t size = 0x100000;
  std::uint64_t hva = 0x7f0000000000;
  std::uint64_t page_size = 4096;
  std::uint16_t address_space = 0;
};

// A received message: its bytes, and the descriptor that came along.
struct Answer {
  std::vector<std::byte> bytes;
  shm::UniqueFd fd;

  const wire::Message* message() const;
  const wire::Error* error() const;
  std::optional<wire::ErrorCode> error_code() const;
  bool is_ack() const;
};

class Peer {
 public:
  explicit Peer(const std::string& path);

  // The three descriptors of a hello; a test may replace any before.
  void make_descriptors(const HelloFields& fields, int vmm_pid = 0);
  shm::UniqueFd request_fd, kick, vmm;

  void send(const flatbuffers::FlatBufferBuilder& builder, std::vector<int> fds = {});
  void send_raw(std::vector<std::byte> bytes, std::vector<int> fds = {});
  void send_hello(const HelloFields& fields);
  static std::vector<std::byte> hello_bytes(const HelloFields& fields);
  std::vector<int> hello_fds() const;
  void send_regions(std::uint32_t generation, const std::vector<RegionFields>& add,
                    const std::vector<std::uint32_t>& remove = {});
  void send_commit(std::uint32_t generation, std::uint32_t regions);
  void send_vcpu_state(std::uint32_t index);
  void send_guest_reset();
  void send_pages(const std::vector<wire::PoisonPage>& pages);
  void send_goodbye();
  // To message `of`: done as that incident, or refused.
  void send_order_answer(std::uint64_t of, const shm::Claim& claim);
  void send_order_refusal(std::uint64_t of, wire::OperatorRefusal why, std::uint64_t value = 0,
                          std::uint64_t limit = 0);
  Answer receive();  // up to 5 s; empty where the other side hung up

  // hello, welcome, one region, commit; true when ready.
  bool attach(const HelloFields& fields = {}, int vmm_pid = 0);
  void hang_up() { socket_.reset(); }
  void adopt(Peer& earlier);  // its request area, for a re-attach
  wire::Id128 resume_key{};
  bool resumed = false;

  // ---- incidents, after attach() ----
  shm::RequestView request() const { return request_view_; }
  shm::ReplyView reply() const { return reply_view_; }
  shm::LineKey key(std::uint32_t lane) const { return {session_.low(), session_.high(), lane}; }
  std::optional<shm::Claim> claim(std::uint32_t lane);
  void commit_report(const shm::Claim& claim, std::uint64_t hva, int code,
                     std::uint32_t generation = 1, bool drill = false);
  void commit_snapshot(const shm::Claim& claim);
  void commit_outcome(const shm::Claim& claim, wire::Verdict verdict, wire::DecidedBy by);
  void ring();
  std::optional<wire::ReplyLine> wait_reply(const shm::Claim& claim);
  bool wait_retired(const shm::Claim& claim);

 private:
  shm::UniqueFd socket_;
  shm::OwnArea own_;
  shm::Mapping reply_map_;
  shm::RequestView request_view_;
  shm::ReplyView reply_view_;
  wire::Id128 session_;
};

// One line from a stream socket at `path`, after sending `request` (if any);
// `skip` lines are passed over.
std::string stream_line(const std::string& path, const std::string& request, int skip = 0);

bool eventually(const std::function<bool()>& condition);

}  // namespace memfail::test
