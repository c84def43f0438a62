// SPDX-License-Identifier: BSD-3-Clause
#include "shm/control_socket.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "tests/integration/shm/child.h"

namespace memfail::shm {
namespace {

using testing::Child;
using testing::SocketPair;

std::vector<std::byte> message_of(std::size_t size) {
  std::vector<std::byte> message(size);
  for (std::size_t i = 0; i < size; ++i) message[i] = static_cast<std::byte>(i * 131 + size);
  return message;
}

int count_open_files() {
  DIR* folder = ::opendir("/proc/self/fd");
  int count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// Sends one message with `fds` eventfds from another process.
void send_from_peer(const SocketPair& sockets, std::size_t size, std::size_t fds) {
  Child peer([&] {
    const auto message = message_of(size);
    std::vector<int> extra;
    extra.reserve(fds);
    for (std::size_t i = 0; i < fds; ++i) extra.push_back(::eventfd(static_cast<unsigned>(i), 0));
    return send_message(sockets.theirs.get(), message, extra) == 0 ? 0 : 1;
  });
  ASSERT_TRUE(peer.exited_with(0));
}

TEST(AControlMessage, ArrivesWholeWithExactlyItsDescriptors) {
  std::vector<std::byte> buffer(kMaxMessage);
  for (std::size_t count = 0; count <= kMaxMessageFds; ++count) {
    const SocketPair sockets;
    const int before = count_open_files();
    {
      send_from_peer(sockets, 100 + count, count);
      const auto received = receive_message(sockets.ours.get(), buffer, count);
      ASSERT_TRUE(received);
      EXPECT_EQ(received->size, 100 + count);
      EXPECT_EQ(received->fd_count, count);
      EXPECT_FALSE(received->truncated);
      const auto sent = message_of(100 + count);
      EXPECT_EQ(std::memcmp(buffer.data(), sent.data(), sent.size()), 0);
      for (std::size_t i = 0; i < count; ++i) {
        const int fd = received->fds.at(i).get();
        EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        std::uint64_t value = 0;
        if (i > 0) {
          EXPECT_EQ(::read(fd, &value, sizeof value), 8);
          EXPECT_EQ(value, i) << "in the order they were sent";
        }
      }
      EXPECT_EQ(count_open_files(), before + static_cast<int>(count));
    }
    EXPECT_EQ(count_open_files(), before) << "each is owned";
  }
}

// What the kernel has no room for it closes on the receiver's thread.
TEST(AControlMessage, WithMoreDescriptorsThanExpectedIsTruncatedAndBringsThemAlong) {
  std::vector<std::byte> buffer(kMaxMessage);
  for (std::size_t expected = 1; expected < kMaxMessageFds; ++expected) {
    for (std::size_t sent = expected + 1; sent <= kMaxMessageFds; ++sent) {
      const SocketPair sockets;
      const int before = count_open_files();
      {
        send_from_peer(sockets, 8, sent);
        const auto received = receive_message(sockets.ours.get(), buffer, expected);
        ASSERT_TRUE(received);
        EXPECT_TRUE(received->truncated) << sent << " sent, " << expected << " expected";
        EXPECT_EQ(received->fd_count, expected);
        EXPECT_EQ(received->surplus.size(), sent - expected);
        EXPECT_EQ(count_open_files(), before + static_cast<int>(sent));
      }
      EXPECT_EQ(count_open_files(), before);
    }
  }
}

TEST(AControlMessage, WithDescriptorsWhereNoneIsExpectedStaysUnread) {
  std::vector<std::byte> buffer(kMaxMessage);
  const SocketPair sockets;
  send_from_peer(sockets, 8, 2);
  const int before = count_open_files();
  const auto refused = receive_message(sockets.ours.get(), buffer, 0);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->truncated);
  EXPECT_EQ(count_open_files(), before);
  const auto taken = receive_message(sockets.ours.get(), buffer, 0, true);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->truncated);
  EXPECT_EQ(taken->fd_count, 0U);
  EXPECT_EQ(taken->surplus.size(), 2U);
}

TEST(ASocket, HoldsDescriptorsThatNobodyReceived) {
  const SocketPair sockets;
  for (int i = 0; i < 3; ++i) send_from_peer(sockets, 8, 0);
  ASSERT_EQ(::send(sockets.theirs.get(), "", 0, 0), 0);  // looks like the end
  send_from_peer(sockets, 8, 1);
  EXPECT_TRUE(holds_descriptors(sockets.ours.get()));
  const auto message = message_of(8);
  EXPECT_EQ(send_message(sockets.theirs.get(), message), -EPIPE) << "nothing comes after it";
}

TEST(ASocket, HoldsNoneAfterWhatHadNone) {
  const SocketPair sockets;
  for (int i = 0; i < 3; ++i) send_from_peer(sockets, 8, 0);
  EXPECT_FALSE(holds_descriptors(sockets.ours.get()));
}

// The most that the kernel lets one message carry.
TEST(AControlMessage, WithTwoHundredAndFiftyThreeDescriptorsBringsAllOfThem) {
  const SocketPair sockets;
  Child peer([&] {
    std::array<int, 253> fds{};
    fds.fill(sockets.theirs.get());
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof fds)> control{};
    std::byte text{'x'};
    iovec vector{&text, 1};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fds);
    std::memcpy(CMSG_DATA(part), fds.data(), sizeof fds);
    return ::sendmsg(sockets.theirs.get(), &header, 0) == 1 ? 0 : 1;
  });
  ASSERT_TRUE(peer.exited_with(0));
  std::vector<std::byte> buffer(kMaxMessage);
  const int before = count_open_files();
  const auto received = receive_message(sockets.ours.get(), buffer, 3);
  ASSERT_TRUE(received);
  EXPECT_TRUE(received->truncated);
  EXPECT_EQ(received->fd_count, 3U);
  EXPECT_EQ(received->surplus.size(), kMostReceivedFds - 3);
  EXPECT_EQ(count_open_files(), before + static_cast<int>(kMostReceivedFds));
}

TEST(AControlMessage, WithFewerDescriptorsThanExpectedSaysHowMany) {
  const SocketPair sockets;
  send_from_peer(sockets, 8, 1);
  std::vector<std::byte> buffer(kMaxMessage);
  const auto received = receive_message(sockets.ours.get(), buffer, 3);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->fd_count, 1U);
  EXPECT_FALSE(received->truncated);
}

TEST(AControlMessage, OfTheLargestSizeArrivesAndOneByteMoreIsTruncated) {
  std::vector<std::byte> buffer(kMaxMessage);
  const SocketPair sockets;
  send_from_peer(sockets, kMaxMessage, 0);
  send_from_peer(sockets, kMaxMessage + 1, 0);
  send_from_peer(sockets, 5, 0);
  const auto largest = receive_message(sockets.ours.get(), buffer, 0);
  ASSERT_TRUE(largest);
  EXPECT_EQ(largest->size, kMaxMessage);
  EXPECT_FALSE(largest->truncated);
  const auto larger = receive_message(sockets.ours.get(), buffer, 0);
  ASSERT_TRUE(larger);
  EXPECT_TRUE(larger->truncated);
  const auto next = receive_message(sockets.ours.get(), buffer, 0);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->size, 5U) << "each packet is one message: nothing of the former is left";
}

TEST(AControlSocket, ThatIsEmptySaysSoAndDoesNotBlock) {
  const SocketPair sockets;
  std::vector<std::byte> buffer(kMaxMessage);
  const auto received = receive_message(sockets.ours.get(), buffer, 4);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error(), -EAGAIN);
}

TEST(AControlSocket, ThatIsFullSaysSoAndDoesNotBlockAndKeepsMessagesWhole) {
  const SocketPair sockets;
  const auto message = message_of(kMaxMessage);
  int sent = 0;
  int result = 0;
  while ((result = send_message(sockets.theirs.get(), message)) == 0 && sent < 10'000) ++sent;
  EXPECT_EQ(result, -EAGAIN);
  std::vector<std::byte> buffer(kMaxMessage);
  for (int i = 0; i < sent; ++i) {
    const auto received = receive_message(sockets.ours.get(), buffer, 0);
    ASSERT_TRUE(received);
    ASSERT_EQ(received->size, kMaxMessage);
  }
  EXPECT_FALSE(receive_message(sockets.ours.get(), buffer, 0));
}

TEST(AControlSocket, WhosePeerHangsUpGivesWhatWasSentAndThenSizeZero) {
  SocketPair sockets;
  send_from_peer(sockets, 9, 1);
  sockets.theirs.reset();
  std::vector<std::byte> buffer(kMaxMessage);
  const auto last = receive_message(sockets.ours.get(), buffer, 1);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->size, 9U);
  EXPECT_EQ(last->fd_count, 1U);
  const auto gone = receive_message(sockets.ours.get(), buffer, 1);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->size, 0U);
  EXPECT_EQ(gone->fd_count, 0U);
  EXPECT_EQ(send_message(sockets.ours.get(), message_of(3)), -EPIPE) << "and no SIGPIPE";
}

// With something unread on its side the kernel says so as an error first.
TEST(AControlSocket, WhosePeerIsKilledWithUnreadMessagesSaysResetOrHungUp) {
  SocketPair sockets;
  Child peer([&] {
    ::pause();
    return 0;
  });
  ASSERT_EQ(send_message(sockets.ours.get(), message_of(3)), 0);
  sockets.theirs.reset();
  peer.kill();
  ASSERT_TRUE(peer.died_of(SIGKILL));
  std::vector<std::byte> buffer(kMaxMessage);
  const auto first = receive_message(sockets.ours.get(), buffer, 0);
  if (!first) {
    EXPECT_EQ(first.error(), -ECONNRESET);
  }
  const auto second = receive_message(sockets.ours.get(), buffer, 0);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->size, 0U);
}

TEST(AControlSocket, SendsNoMoreDescriptorsThanAMessageMayHold) {
  const SocketPair sockets;
  const std::array<int, kMaxMessageFds + 1> many{0, 0, 0, 0, 0};
  EXPECT_EQ(send_message(sockets.ours.get(), message_of(3), many), -EINVAL);
}

}  // namespace
}  // namespace memfail::shm
