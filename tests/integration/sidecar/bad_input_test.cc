// SPDX-License-Identifier: BSD-3-Clause
//
// What a VMM may do wrong: each gets one message that names the field, the value
// and the limit, and ends its own session only.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer.h"
#include "sidecar/decision/region_map.h"

namespace memfail::test {
namespace {

using wire::ErrorCode;

class BadInput : public ::testing::Test {
 protected:
  ~BadInput() override {
    Peer bystander(daemon_.vms());
    EXPECT_TRUE(bystander.attach({.session = {77, 77}, .name = "bystander"}));
  }

  // The error that a hello is answered with.
  Answer refused(const HelloFields& fields) {
    Peer peer(daemon_.vms());
    peer.make_descriptors({.vcpus = 2});
    peer.send_hello(fields);
    Answer answer = peer.receive();
    EXPECT_TRUE(peer.receive().bytes.empty());  // and it hangs up
    return answer;
  }

  Daemon daemon_;
};

TEST_F(BadInput, UnknownVersionIsNamedWithOurs) {
  const Answer answer = refused({.version_min = 7, .version_max = 9});
  ASSERT_EQ(answer.error_code(), ErrorCode::version);
  EXPECT_EQ(answer.error()->value(), 7U);
  EXPECT_EQ(answer.error()->limit(), 1U);
  EXPECT_TRUE(daemon_.log_has("versions 7 to 9"));
}

TEST_F(BadInput, VcpuCountsOutOfRange) {
  EXPECT_EQ(refused({.vcpus = 0}).error_code(), ErrorCode::vcpus);
  const Answer answer = refused({.vcpus = 1025});
  ASSERT_EQ(answer.error_code(), ErrorCode::vcpus);
  EXPECT_EQ(answer.error()->value(), 1025U);
  EXPECT_EQ(answer.error()->limit(), 1024U);
}

TEST_F(BadInput, NamesThatAreTooLong) {
  EXPECT_EQ(refused({.name = std::string(128, 'n')}).error_code(), ErrorCode::limit);
  EXPECT_EQ(refused({.uuid = std::string(64, 'u')}).error_code(), ErrorCode::limit);
}

TEST_F(BadInput, BytesThatAreNoMessage) {
  Peer peer(daemon_.vms());
  peer.send_raw(std::vector<std::byte>(100, std::byte{0xFF}));
  EXPECT_EQ(peer.receive().error_code(), ErrorCode::malformed);
}

TEST_F(BadInput, MessagesThatAreTooLong) {
  Peer peer(daemon_.vms());
  peer.send_raw(std::vector<std::byte>(shm::kPage * 9));
  EXPECT_EQ(peer.receive().error_code(), ErrorCode::malformed);
}

TEST_F(BadInput, AMessageOutOfState) {
  Peer peer(daemon_.vms());
  peer.send_commit(1, 0);
  EXPECT_EQ(peer.receive().error_code(), ErrorCode::out_of_state);
}

TEST_F(BadInput, TooFewDescriptors) {
  Peer peer(daemon_.vms());
  peer.make_descriptors({});
  peer.vmm.reset();
  peer.send_hello({});
  const Answer answer = peer.receive();
  ASSERT_EQ(answer.error_code(), ErrorCode::descriptor);
  EXPECT_EQ(answer.error()->value(), 2U);
}

TEST_F(BadInput, ADescriptorTooMany) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  flatbuffers::FlatBufferBuilder builder;
  wire::FinishMessageBuffer(builder,
                            wire::CreateMessage(builder, 1, wire::Body::Commit,
                                                wire::CreateCommit(builder, 2, 1).Union()));
  peer.send(builder, {peer.kick.get()});
  EXPECT_EQ(peer.receive().error_code(), ErrorCode::descriptor);
}

// Each of the three in turn is something else.
TEST_F(BadInput, DescriptorsOfTheWrongKind) {
  for (const auto member : {&Peer::request_fd, &Peer::kick, &Peer::vmm}) {
    Peer peer(daemon_.vms());
    peer.make_descriptors({});
    (peer.*member).reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    peer.send_hello({});
    EXPECT_EQ(peer.receive().error_code(), ErrorCode::descriptor);
  }
}

TEST_F(BadInput, ARequestAreaWithoutSeals) {
  Peer peer(daemon_.vms());
  peer.make_descriptors({});
  peer.request_fd.reset(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  peer.send_hello({});
  EXPECT_EQ(peer.receive().error_code(), ErrorCode::descriptor);
}

TEST_F(BadInput, ARequestAreaOfAnotherGeometry) {
  EXPECT_EQ(refused({.vcpus = 600}).error_code(), ErrorCode::descriptor);  // another size
}

TEST_F(BadInput, ARequestAreaOfAnotherSession) {
  EXPECT_EQ(refused({.session = {9, 9}}).error_code(), ErrorCode::area);
}

TEST_F(BadInput, ASessionAttachedAlready) {
  Peer first(daemon_.vms());
  ASSERT_TRUE(first.attach());
  EXPECT_EQ(refused({}).error_code(), ErrorCode::session_taken);
  EXPECT_EQ(refused({.resume_key = first.resume_key}).error_code(), ErrorCode::session_taken);
  first.send_commit(2, 1);
  EXPECT_TRUE(first.receive().is_ack());  // the first one goes on
}

TEST_F(BadInput, AWrongResumeKey) {
  Peer first(daemon_.vms());
  ASSERT_TRUE(first.attach());
  first.hang_up();
  ASSERT_TRUE(daemon_.log_has("detached"));
  EXPECT_EQ(refused({.resume_key = wire::Id128(1, 1)}).error_code(), ErrorCode::resume_key);
  EXPECT_EQ(refused({}).error_code(), ErrorCode::resume_key);
}

// Regions ------------------------------------------------------------------------

class BadRegions : public BadInput {
 protected:
  // The error that these regions end an attached session with.
  std::optional<ErrorCode> commit(const std::vector<RegionFields>& add,
                                  const std::vector<std::uint32_t>& remove = {}) {
    Peer peer(daemon_.vms());
    HelloFields fields;
    fields.session = wire::Id128(++sessions_, 2);  // one that broke is its owner's still
    EXPECT_TRUE(peer.attach(fields));              // with slot 0 at 0 to 1 MiB
    peer.send_regions(2, add, remove);
    Answer answer = peer.receive();
    if (!answer.is_ack()) return answer.error_code();
    peer.send_commit(2, static_cast<std::uint32_t>(1 + add.size() - remove.size()));
    return peer.receive().error_code();
  }

 private:
  std::uint64_t sessions_ = 0;
};

TEST_F(BadRegions, Unaligned) {
  EXPECT_EQ(commit({{.slot = 1, .gpa = 0x200800}}), ErrorCode::region_unaligned);
  EXPECT_EQ(commit({{.slot = 1, .gpa = 0x200000, .size = 100}}), ErrorCode::region_unaligned);
}

TEST_F(BadRegions, Wrapping) {
  EXPECT_EQ(commit({{.slot = 1, .gpa = 0xFFFFFFFFFFFFE000, .size = 0x4000}}),
            ErrorCode::region_wraps);
}

TEST_F(BadRegions, OverlappingInGuestAddress) {
  EXPECT_EQ(commit({{.slot = 1, .gpa = 0xFF000}}), ErrorCode::region_overlap);
  EXPECT_EQ(commit({{.slot = 1, .gpa = 0xFF000, .address_space = 1}}), std::nullopt);
}

TEST_F(BadRegions, SlotTwiceOrMissing) {
  EXPECT_EQ(commit({{.slot = 0, .gpa = 0x200000}}), ErrorCode::region_slot);
  EXPECT_EQ(commit({}, {42}), ErrorCode::region_slot);
}

TEST_F(BadRegions, OneTooMany) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  std::uint32_t slot = 1;
  while (slot < decision::kMaxRegions) {
    std::vector<RegionFields> chunk;
    for (int i = 0; i < 200 && slot < decision::kMaxRegions; ++i, ++slot) {
      chunk.push_back({.slot = slot, .gpa = slot * 0x100000UL, .size = 0x1000});
    }
    peer.send_regions(2, chunk);
    ASSERT_TRUE(peer.receive().is_ack());
  }
  peer.send_commit(2, decision::kMaxRegions);
  ASSERT_TRUE(peer.receive().is_ack());
  peer.send_regions(3, {{.slot = slot, .gpa = slot * 0x100000UL, .size = 0x1000}});
  const Answer answer = peer.receive();
  ASSERT_EQ(answer.error_code(), ErrorCode::region_count);
  EXPECT_EQ(answer.error()->limit(), decision::kMaxRegions);
}

TEST_F(BadRegions, AGenerationThatDoesNotFollow) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  peer.send_commit(1, 1);
  EXPECT_EQ(peer.receive().error_code(), ErrorCode::generation);
}

TEST_F(BadRegions, ACountThatDiffers) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  peer.send_commit(2, 5);
  EXPECT_EQ(peer.receive().error_code(), ErrorCode::region_count);
}

TEST_F(BadRegions, AVcpuIndexOutOfRange) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  peer.send_vcpu_state(1);
  EXPECT_TRUE(peer.receive().is_ack());
  peer.send_vcpu_state(2);
  const Answer answer = peer.receive();
  ASSERT_EQ(answer.error_code(), ErrorCode::vcpu_index);
  EXPECT_EQ(answer.error()->value(), 2U);
  EXPECT_EQ(answer.error()->limit(), 1U);
}

// Half-open connections ---------------------------------------------------------------

TEST_F(BadInput, AHelloIsOwedWithinASecond) {
  Peer silent(daemon_.vms());
  EXPECT_EQ(silent.receive().error_code(), ErrorCode::limit);
}

TEST_F(BadInput, OnlyFourOfAUserMayOweAHello) {
  std::vector<Peer> silent;
  for (int i = 0; i < 4; ++i) silent.emplace_back(daemon_.vms());
  Peer fifth(daemon_.vms());
  EXPECT_TRUE(fifth.receive().bytes.empty());
  EXPECT_TRUE(daemon_.log_has("4 a uid"));
  EXPECT_EQ(silent.front().receive().error_code(), ErrorCode::limit);  // makes room
}

}  // namespace
}  // namespace memfail::test
