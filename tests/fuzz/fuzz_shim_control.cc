// SPDX-License-Identifier: BSD-3-Clause
//
// A sidecar that sends any packets, with a good reply area or none, and that writes
// anything into its area: before a VM's incidents, as their answers, and between them.
#include <fcntl.h>
#include <fuzzer/FuzzedDataProvider.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "memfail/shim.h"
#include "schema/control_generated.h"
#include "shm/area.h"
#include "shm/control_socket.h"
#include "sidecar/decision/fallback_rules.h"
#include "sidecar/decision/machine_check.h"

namespace {

namespace shm = memfail::shm;
namespace wire = memfail::wire;

constexpr auto kFeatures = static_cast<std::uint64_t>(wire::Feature::ANY);
constexpr std::uint32_t kVcpus = 2;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kRamPages = 8;
constexpr std::uint64_t kRamGpa = 0x10'0000;
constexpr std::uint8_t kBanks = 10;
const shm::Geometry kGeometry(kVcpus);

// Never touched: an address is all that the shim wants of a page.
std::uint64_t ram() {
  static void* const at = ::mmap(nullptr, kRamPages * kPage, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) std::abort();
  return reinterpret_cast<std::uint64_t>(at);
}

// Answers no ioctl: the shim then knows nothing of the vCPU's state.
int no_vcpu() {
  static const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  return fd;
}

// The lane that this thread's SIGBUS handler reports through: drills raise real signals.
memfail_lane* own_lane = nullptr;

void on_sigbus(int /*signal*/, siginfo_t* info, void* context) {
  if (memfail_sigbus(own_lane, info, context) == MEMFAIL_SIGBUS_NOT_MINE) std::abort();
}

// Nothing but a page of the guest's, in a bank that it has, or the record without a page
// that the other vCPUs of a broadcast get, whatever the sidecar says.
void must_be_plausible(std::uint32_t vcpu, const memfail_mce& record) {
  using memfail::decision::sibling_record;
  const bool of_ram = record.addr >= kRamGpa && record.addr < kRamGpa + kRamPages * kPage;
  const bool of_sibling = record.status == sibling_record(record.bank).status;
  if (vcpu >= kVcpus || record.bank >= kBanks || (!of_ram && !of_sibling)) std::abort();
}

class Vm {
 public:
  // Where an operator may inject, a record is of his making.
  explicit Vm(bool injections) : injections_(injections) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
      std::abort();
    }
    peer_.reset(pair[1]);
    create(pair[0]);
    for (std::uint32_t i = 0; i < kVcpus; ++i) add_vcpu(i);
    add_ram();
    memfail_status status{};
    status.struct_size = sizeof status;
    memfail_shim_state(shim_, &status);
    session_ = {status.session_low, status.session_high};
    area_ = *shm::make_area(shm::AreaKind::kReply, kGeometry, session_);
    memfail_shim_dispatch(shim_);  // hello
  }
  ~Vm() { memfail_shim_destroy(shim_); }
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  // A packet of any bytes, or with a good area.
  void send(const std::vector<std::uint8_t>& packet, bool with_area) {
    const int fd = area_.fd.get();
    const std::span<const int> fds(&fd, with_area ? 1 : 0);
    (void)shm::send_message(peer_.get(), std::as_bytes(std::span(packet)), fds);
    memfail_shim_dispatch(shim_);
    run_posted();
    drain();
  }

  template <typename Make>
  void send_message(wire::Body type, bool with_area, Make make) {
    flatbuffers::FlatBufferBuilder builder;
    const auto body = make(builder);
    wire::FinishMessageBuffer(builder,
                              wire::CreateMessage(builder, ++last_id_, type, body.Union()));
    const std::uint8_t* data = builder.GetBufferPointer();
    send({data, data + builder.GetSize()}, with_area);
  }

  void welcome() {
    send_message(wire::Body::Welcome, true, [](auto& builder) {
      const wire::Id128 key(3, 4);
      const wire::FallbackRules rules = memfail::decision::to_wire({});
      return wire::CreateWelcome(builder, 1, kFeatures, &key, 32768, 1024, &rules);
    });
  }
  void acknowledge() {
    send_message(wire::Body::Ack, false,
                 [&](auto& builder) { return wire::CreateAck(builder, commit_id_); });
  }

  // One SIGBUS while the guest runs, its answer as `data` has it, and all that follows.
  void fail(FuzzedDataProvider& data) {
    const auto vcpu = data.ConsumeIntegralInRange<std::uint32_t>(0, kVcpus - 1);
    siginfo_t info{};
    info.si_signo = SIGBUS;
    info.si_code = data.ConsumeIntegralInRange<int>(4, 5);
    info.si_addr = reinterpret_cast<void*>(
        ram() + data.ConsumeIntegralInRange<std::uint64_t>(0, kRamPages) * kPage);
    info.si_addr_lsb = 12;
    memfail_run_begin(lanes_[vcpu]);
    (void)memfail_sigbus(lanes_[vcpu], &info, nullptr);
    if (data.ConsumeBool()) answer(data, vcpu, ++incidents_[vcpu]);
    if (memfail_run_end(lanes_[vcpu]) != 0) (void)memfail_handle(lanes_[vcpu]);
    run_posted();
  }

  void run_posted() {
    for (const Posted& task : std::exchange(posted_, {})) {
      own_lane = lanes_[task.vcpu];
      task.function(task.argument);
      if (memfail_run_end(own_lane) != 0) (void)memfail_handle(own_lane);
    }
  }

  void write_any_word(FuzzedDataProvider& data) {
    const auto at = data.ConsumeIntegralInRange<std::size_t>(wire::kLineSize / 8,
                                                             kGeometry.reply_size() / 8 - 1);
    shm::store_word(area_.mapping.data(), at * 8, data.ConsumeIntegral<std::uint64_t>());
  }

  // What a sidecar does to a cell that is over, or is not.
  void retire(FuzzedDataProvider& data) {
    const auto vcpu = data.ConsumeIntegralInRange<std::uint32_t>(0, kVcpus - 1);
    const auto n = data.ConsumeIntegralInRange<std::uint64_t>(1, incidents_[vcpu] + 1);
    shm::store_word(line(vcpu, n), wire::kReplyRetiredOffset, n);
  }

 private:
  struct Posted {
    std::uint32_t vcpu;
    void (*function)(void*);
    void* argument;
  };
  static int post(void* self, std::uint32_t vcpu, void (*function)(void*), void* argument) {
    static_cast<Vm*>(self)->posted_.push_back({vcpu, function, argument});
    return 0;
  }
  static int set_mce(void* self, std::uint32_t vcpu, const memfail_mce* record) {
    if (!static_cast<Vm*>(self)->injections_) must_be_plausible(vcpu, *record);
    return 0;
  }
  void create(int socket) {
    memfail_config config{};
    config.struct_size = sizeof config;
    config.socket_fd = socket;
    config.vcpus = kVcpus;
    config.deadline_ms = 1;
    config.vendor = MEMFAIL_VENDOR_INTEL;
    config.cpuid_1_eax = 0x306F2;
    config.mcg_cap_configured = config.mcg_cap_kvm = 0x1000100 | kBanks;
    config.allow = MEMFAIL_ALLOW_DRILLS | (injections_ ? MEMFAIL_ALLOW_INJECTIONS : 0U);
    config.opaque = this;
    config.ops.struct_size = sizeof config.ops;
    config.ops.post = post;
    config.ops.abort = [](void*, const memfail_incident*) {};
    config.ops.set_mce = set_mce;
    if (memfail_shim_create(&config, &shim_, nullptr) != 0) std::abort();
  }
  void add_vcpu(std::uint32_t index) {
    const memfail_vcpu vcpu{sizeof vcpu, index, no_vcpu(), &runs_[index]};
    if (memfail_vcpu_add(shim_, &vcpu, &lanes_[index], nullptr) != 0) std::abort();
  }
  void add_ram() {
    memfail_region region{};
    region.struct_size = sizeof region;
    region.gpa = kRamGpa;
    region.size = kRamPages * kPage;
    region.hva = ram();
    region.page_size = kPage;
    region.name = "ram";
    memfail_regions_begin(shim_);
    if (memfail_regions_add(shim_, &region, nullptr) != 0) std::abort();
    if (memfail_regions_commit(shim_, nullptr) != 0) std::abort();
  }

  // What the VM says: the last commit is what a good sidecar acknowledges.
  void drain() {
    std::array<std::byte, shm::kMaxMessage> bytes;
    while (const auto got = shm::receive_message(peer_.get(), bytes, 3)) {
      if (got->size == 0) return;
      const wire::Message* message = wire::GetMessage(bytes.data());
      if (message->body_type() == wire::Body::Commit) commit_id_ = message->id();
    }
  }

  [[nodiscard]] std::byte* line(std::uint32_t vcpu, std::uint64_t n) const {
    const shm::ReplyView reply(area_.mapping.data(), kGeometry);
    return reply.line({vcpu, kGeometry.cell_of(vcpu, n)});
  }

  void answer(FuzzedDataProvider& data, std::uint32_t vcpu, std::uint64_t n) {
    wire::ReplyLine reply = likely_reply(data);
    if (data.ConsumeBool()) {
      auto bytes = data.ConsumeBytes<std::uint8_t>(sizeof reply);
      bytes.resize(sizeof reply);
      std::memcpy(static_cast<void*>(&reply), bytes.data(), sizeof reply);
    }
    shm::write_line(line(vcpu, n), reply, {session_.low, session_.high, vcpu}, n);
  }

  // The templates of machine checks, for a page of the guest or beside it.
  static wire::ReplyLine likely_reply(FuzzedDataProvider& data) {
    constexpr std::array<std::uint64_t, 4> kStatus{0xBD80'0000'0000'0134, 0xBD00'0000'0000'00C0,
                                                   0x9C00'0000'0000'00C0, 0};
    const auto verdict = data.ConsumeIntegralInRange<std::uint8_t>(0, 8);
    const auto reason = data.ConsumeIntegralInRange<std::uint8_t>(0, 43);
    const auto siblings = data.ConsumeIntegralInRange<std::uint8_t>(0, 3);
    const auto bank = data.ConsumeIntegralInRange<std::uint8_t>(8, 10);
    const auto otherwise = data.ConsumeIntegralInRange<std::uint8_t>(0, 8);
    const auto misc = static_cast<std::uint16_t>(data.ConsumeBool() ? 0x8C : 0);
    const auto mcg = data.ConsumeIntegralInRange<std::uint32_t>(0, 8);
    const std::uint64_t status = data.PickValueInArray(kStatus);
    const std::uint64_t gpa =
        kRamGpa + data.ConsumeIntegralInRange<std::uint64_t>(0, kRamPages) * kPage;
    const std::uint64_t page = data.ConsumeBool() ? gpa : wire::kNoAddress;
    return {0,
            0,
            static_cast<wire::Verdict>(verdict),
            static_cast<wire::Reason>(reason),
            static_cast<wire::SiblingRule>(siblings),
            bank,
            1,
            static_cast<wire::Verdict>(otherwise),
            misc,
            mcg,
            status,
            gpa,
            page,
            0,
            0};
  }

  shm::UniqueFd peer_;
  shm::SessionId session_;
  shm::OwnArea area_;
  std::array<kvm_run, kVcpus> runs_{};
  std::array<memfail_lane*, kVcpus> lanes_{};
  std::array<std::uint64_t, kVcpus> incidents_{};
  std::vector<Posted> posted_;
  bool injections_;
  memfail_shim* shim_ = nullptr;
  std::uint64_t last_id_ = 0;
  std::uint64_t commit_id_ = 0;
};

void act(FuzzedDataProvider& data, Vm& vm) {
  switch (data.ConsumeIntegralInRange<int>(0, 7)) {
    case 0:
    case 1: {
      const bool with_area = data.ConsumeBool();
      const auto length = data.ConsumeIntegralInRange<std::size_t>(0, 4096);
      return vm.send(data.ConsumeBytes<std::uint8_t>(length), with_area);
    }
    case 2:
      return vm.write_any_word(data);
    case 3:
      return vm.retire(data);
    case 4:
      return vm.send_message(wire::Body::Drill, false, [&](auto& builder) {
        const auto page = data.ConsumeIntegralInRange<std::uint64_t>(0, kRamPages);
        return wire::CreateDrill(builder, kRamGpa + page * kPage, wire::DrillKind::action_optional,
                                 data.ConsumeIntegralInRange<std::uint32_t>(0, kVcpus));
      });
    case 5:
      return vm.acknowledge();
    case 6:
      return vm.send_message(wire::Body::Rules, false, [&](auto& builder) {
        const auto verdict = [&] {
          return static_cast<wire::Verdict>(data.ConsumeIntegral<std::uint8_t>());
        };
        const wire::FallbackRules rules(data.ConsumeIntegral<std::uint8_t>(), verdict(), verdict(),
                                        verdict(), data.ConsumeIntegral<std::uint8_t>(),
                                        data.ConsumeBool(), data.ConsumeIntegral<std::uint16_t>(),
                                        data.ConsumeIntegral<std::uint16_t>(), 64, 60);
        return wire::CreateRules(builder, &rules);
      });
    default:
      return vm.fail(data);
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  struct sigaction action = {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  return ::sigaction(SIGBUS, &action, nullptr);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  Vm vm(data.ConsumeBool());
  if (data.ConsumeBool()) vm.welcome();
  if (data.ConsumeBool()) vm.acknowledge();
  while (data.remaining_bytes() > 0) act(data, vm);
  return 0;
}
