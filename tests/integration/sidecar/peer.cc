// SPDX-License-Identifier: BSD-3-Clause
#include "peer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "shm/control_socket.h"
#include "shm/reply_wait.h"
#include "shm/start_time.h"

namespace memfail::test {
namespace {

using wire::Body;
using Builder = flatbuffers::FlatBufferBuilder;

constexpr int kPatienceMs = 5000;

shm::UniqueFd connect_to(const std::string& path, int type) {
  shm::UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

bool readable(int fd) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, kPatienceMs) == 1;
}

void finish(Builder& builder, Body type, flatbuffers::Offset<void> body) {
  wire::FinishMessageBuffer(builder, wire::CreateMessage(builder, 1, type, body));
}

}  // namespace

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < kPatienceMs; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

const wire::Message* Answer::message() const {
  return bytes.empty() ? nullptr : wire::GetMessage(bytes.data());
}

const wire::Error* Answer::error() const {
  return message() == nullptr ? nullptr : message()->body_as_Error();
}

std::optional<wire::ErrorCode> Answer::error_code() const {
  return error() == nullptr ? std::nullopt : std::optional(error()->code());
}

bool Answer::is_ack() const { return message() != nullptr && message()->body_as_Ack() != nullptr; }

Peer::Peer(const std::string& path) : socket_(connect_to(path, SOCK_SEQPACKET)) {
  shm::crc32c_prepare();
}

void Peer::make_descriptors(const HelloFields& fields, int vmm_pid) {
  session_ = fields.session;
  const shm::Geometry geometry(fields.vcpus);
  auto made = shm::make_area(shm::AreaKind::kRequest, geometry,
                             {fields.session.low(), fields.session.high()});
  own_ = std::move(*made);
  request_view_ = shm::RequestView(own_.mapping.data(), geometry);
  request_fd.reset(::dup(own_.fd.get()));
  kick.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const int pid = vmm_pid == 0 ? ::getpid() : vmm_pid;
  vmm.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void Peer::send_raw(std::vector<std::byte> bytes, std::vector<int> fds) {
  shm::send_message(socket_.get(), bytes, fds);
}

void Peer::send(const Builder& builder, std::vector<int> fds) {
  const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  send_raw({bytes, bytes + builder.GetSize()}, std::move(fds));
}

std::vector<std::byte> Peer::hello_bytes(const HelloFields& fields) {
  Builder builder;
  const auto uuid = builder.CreateString(fields.uuid);
  const auto name = builder.CreateString(fields.name);
  wire::HelloBuilder hello(builder);
  hello.add_version_min(fields.version_min);
  hello.add_version_max(fields.version_max);
  hello.add_session(&fields.session);
  if (fields.resume_key) hello.add_resume_key(&*fields.resume_key);
  hello.add_vm_uuid(uuid);
  hello.add_vm_name(name);
  hello.add_vendor(wire::Vendor::intel);
  hello.add_cpuid_1_eax(0x000306A9);
  hello.add_mcg_cap_configured(0x0100010A);
  hello.add_mcg_cap_kvm(0x0100010A);
  hello.add_vcpus(fields.vcpus);
  hello.add_features(fields.features);
  hello.add_deadline_ms(100);
  hello.add_vmm_pid(fields.vmm_pid);
  hello.add_vmm_start_time(shm::start_time_of(fields.vmm_pid));
  finish(builder, Body::Hello, hello.Finish().Union());
  const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {bytes, bytes + builder.GetSize()};
}

std::vector<int> Peer::hello_fds() const {
  std::vector<int> fds;
  for (const shm::UniqueFd* fd : {&request_fd, &kick, &vmm}) {
    if (fd->valid()) fds.push_back(fd->get());
  }
  return fds;
}

void Peer::send_hello(const HelloFields& fields) { send_raw(hello_bytes(fields), hello_fds()); }

void Peer::send_regions(std::uint32_t generation, const std::vector<RegionFields>& add,
                        const std::vector<std::uint32_t>& remove) {
  Builder builder;
  std::vector<flatbuffers::Offset<wire::RegionAdd>> added;
  for (const RegionFields& one : add) {
    const wire::RegionRange range(one.gpa, one.size, one.hva, one.page_size, one.slot,
                                  one.address_space, 0);
    added.push_back(wire::CreateRegionAdd(builder, &range, builder.CreateString("ram")));
  }
  const auto body = wire::CreateRegions(builder, generation, builder.CreateVector(remove),
                                        builder.CreateVector(added));
  finish(builder, Body::Regions, body.Union());
  send(builder);
}

void Peer::send_commit(std::uint32_t generation, std::uint32_t regions) {
  Builder builder;
  finish(builder, Body::Commit, wire::CreateCommit(builder, generation, regions).Union());
  send(builder);
}

void Peer::send_vcpu_state(std::uint32_t index) {
  Builder builder;
  finish(builder, Body::VcpuState, wire::CreateVcpuState(builder, index, true).Union());
  send(builder);
}

void Peer::send_guest_reset() {
  Builder builder;
  finish(builder, Body::GuestReset, wire::CreateGuestReset(builder, 1).Union());
  send(builder);
}

void Peer::send_pages(const std::vector<wire::PoisonPage>& pages) {
  Builder builder;
  finish(builder, Body::PoisonPages,
         wire::CreatePoisonPages(builder, 0, builder.CreateVectorOfStructs(pages)).Union());
  send(builder);
}

void Peer::send_goodbye() {
  Builder builder;
  finish(builder, Body::Goodbye, wire::CreateGoodbye(builder).Union());
  send(builder);
}

void Peer::send_order_answer(std::uint64_t of, const shm::Claim& claim) {
  Builder builder;
  const auto body = wire::CreateOperatorAnswer(builder, of, wire::OperatorRefusal::none, 0, 0,
                                               claim.id.lane, claim.n);
  finish(builder, Body::OperatorAnswer, body.Union());
  send(builder);
}

void Peer::send_order_refusal(std::uint64_t of, wire::OperatorRefusal why, std::uint64_t value,
                              std::uint64_t limit) {
  Builder builder;
  finish(builder, Body::OperatorAnswer,
         wire::CreateOperatorAnswer(builder, of, why, value, limit).Union());
  send(builder);
}

Answer Peer::receive() {
  Answer answer;
  if (!readable(socket_.get())) return answer;
  answer.bytes.resize(shm::kMaxMessage);
  auto received = shm::receive_message(socket_.get(), answer.bytes, 1);
  answer.bytes.resize(received ? received->size : 0);
  if (received) answer.fd = std::move(received->fds[0]);
  return answer;
}

bool Peer::attach(const HelloFields& fields, int vmm_pid) {
  if (!own_.mapping.valid()) make_descriptors(fields, vmm_pid);
  send_hello(fields);
  const Answer welcome = receive();
  if (welcome.message() == nullptr || welcome.message()->body_as_Welcome() == nullptr) return false;
  resume_key = *welcome.message()->body_as_Welcome()->resume_key();
  resumed = welcome.message()->body_as_Welcome()->resumed();
  const shm::Geometry geometry(fields.vcpus);
  auto reply = shm::open_peer_area(welcome.fd.get(), shm::AreaKind::kReply, geometry,
                                   {fields.session.low(), fields.session.high()});
  if (!reply) return false;
  reply_map_ = std::move(*reply);
  reply_view_ = shm::ReplyView(reply_map_.data(), geometry);
  send_regions(1, {RegionFields{}});
  if (!receive().is_ack()) return false;
  send_commit(1, 1);
  return receive().is_ack();
}

void Peer::adopt(Peer& earlier) {
  make_descriptors(
      {.session = earlier.session_, .vcpus = earlier.request_view_.geometry().vcpus()});
  own_ = std::move(earlier.own_);
  request_view_ = earlier.request_view_;
  request_fd.reset(::dup(own_.fd.get()));
}

std::optional<shm::Claim> Peer::claim(std::uint32_t lane) {
  return shm::claim_in_lane(request_view_, reply_view_, lane);
}

void Peer::commit_report(const shm::Claim& claim, std::uint64_t hva, int code,
                         std::uint32_t generation, bool drill) {
  const wire::ReportLine line(0, 0, wire::ReportKind::sigbus, wire::ThreadKind::vcpu_in_run, 12,
                              static_cast<std::uint8_t>(drill ? 1 : 0), hva, 0, shm::monotonic_ns(),
                              code, 1, generation, 0, 0);
  shm::write_line(request_view_.line(claim.id, shm::LineKind::kReport), line, key(claim.id.lane),
                  claim.n);
}

void Peer::commit_snapshot(const shm::Claim& claim) {
  constexpr std::uint16_t kAllFields = 0x3FF;
  constexpr std::uint16_t kMceOnAndCtlGood = 0x3;
  const wire::SnapshotLine line(0, 0, kAllFields, kMceOnAndCtlGood, 0, 0, 0, wire::kNoException, 0,
                                static_cast<std::uint16_t>(claim.id.lane), 0, 1, 0, 0, 0, 0);
  shm::write_line(request_view_.line(claim.id, shm::LineKind::kSnapshot), line, key(claim.id.lane),
                  claim.n);
}

void Peer::commit_outcome(const shm::Claim& claim, wire::Verdict verdict, wire::DecidedBy by) {
  const bool inject = verdict == wire::Verdict::inject;
  const wire::OutcomeLine line(
      0, 0, verdict, by, inject ? wire::Delivered::delivered : wire::Delivered::none,
      wire::Reason::guest_memory, inject ? std::uint8_t{9} : wire::kNoBank, 0, 1, 0,
      static_cast<std::uint16_t>(claim.id.lane), 0xBD80000000000134, 0x5000, 1234, 7, 0);
  shm::write_line(request_view_.line(claim.id, shm::LineKind::kOutcome), line, key(claim.id.lane),
                  claim.n);
}

void Peer::ring() { shm::ring(reply_view_, kick.get()); }

std::optional<wire::ReplyLine> Peer::wait_reply(const shm::Claim& claim) {
  wire::ReplyLine reply;
  const bool came = eventually([&] {
    return shm::read_line(reply_view_.line(claim.id), key(claim.id.lane), claim.n, reply) ==
           shm::LineState::kCommitted;
  });
  return came ? std::optional(reply) : std::nullopt;
}

bool Peer::wait_retired(const shm::Claim& claim) {
  return eventually([&] { return reply_view_.retired(claim.id) == claim.n; });
}

std::string stream_line(const std::string& path, const std::string& request, int skip) {
  const shm::UniqueFd fd = connect_to(path, SOCK_STREAM);
  if (!fd.valid()) return "";
  if (!request.empty()) ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string line;
  char byte = 0;
  while (readable(fd.get()) && ::recv(fd.get(), &byte, 1, 0) == 1) {
    if (byte != '\n') {
      line += byte;
    } else if (skip-- == 0) {
      return line;
    } else {
      line.clear();
    }
  }
  return "";
}

}  // namespace memfail::test
