// SPDX-License-Identifier: BSD-3-Clause
//
// Descriptors that nobody asked for, on every socket of memfaild and in every way in which
// they are not received. The last close of each would wait for a minute; while it does,
// another VM is served.
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "daemon.h"
#include "shm/control_socket.h"
#include "tests/hostile/bystander.h"
#include "tests/hostile/lingering_socket.h"

namespace memfail::hostile {
namespace {

using test::Daemon;
using test::HelloFields;
using test::Peer;

HelloFields liar() { return {.session = {666, 2}, .name = "liar"}; }
std::vector<std::byte> one_byte() { return {std::byte{'x'}}; }

// What a liar does once memfaild stands still: it gives the descriptor away.
class Liar {
 public:
  virtual ~Liar() = default;
  virtual void give(int fd) = 0;
};

class AttachedLiar : public Liar {
 public:
  explicit AttachedLiar(const Daemon& daemon) : peer_(daemon.vms()) {
    EXPECT_TRUE(peer_.attach(liar()));
  }
  void give(int fd) override { peer_.send_raw(one_byte(), {fd}); }

 protected:
  Peer peer_;
};

class BehindABadMessage final : public AttachedLiar {
 public:
  using AttachedLiar::AttachedLiar;
  void give(int fd) override {
    peer_.send_raw(one_byte());
    AttachedLiar::give(fd);
  }
};

class BehindAnEmptyMessage final : public AttachedLiar {
 public:
  using AttachedLiar::AttachedLiar;
  void give(int fd) override {
    peer_.send_raw({});
    AttachedLiar::give(fd);
  }
};

class AndHangsUp final : public AttachedLiar {
 public:
  using AttachedLiar::AttachedLiar;
  void give(int fd) override {
    peer_.send_raw(one_byte());
    AttachedLiar::give(fd);
    peer_.hang_up();
  }
};

class WithAHello final : public Liar {
 public:
  explicit WithAHello(const Daemon& daemon) : peer_(daemon.vms()) {}
  void give(int fd) override {
    peer_.make_descriptors(liar());
    std::vector<int> fds = peer_.hello_fds();
    fds.push_back(fd);
    peer_.send_raw(Peer::hello_bytes(liar()), fds);
  }

 private:
  Peer peer_;
};

class InPlaceOfTheKick final : public Liar {
 public:
  explicit InPlaceOfTheKick(const Daemon& daemon) : peer_(daemon.vms()) {}
  void give(int fd) override {
    peer_.make_descriptors(liar());
    peer_.send_raw(Peer::hello_bytes(liar()), {peer_.request_fd.get(), fd, peer_.vmm.get()});
  }

 private:
  Peer peer_;
};

// More connections than a user may have without a hello: the last is refused as it is, with
// what it has sent.
class OneTooMany final : public Liar {
 public:
  explicit OneTooMany(const Daemon& daemon) : path_(daemon.vms()) {}
  void give(int fd) override {
    constexpr std::size_t kMostHalfOpen = 4;
    while (peers_.size() <= kMostHalfOpen) peers_.emplace_back(path_);
    peers_.back().send_raw(one_byte(), {fd});
  }

 private:
  std::string path_;
  std::vector<Peer> peers_;
};

class OnAStream : public Liar {
 public:
  explicit OnAStream(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
  }
  void give(int fd) override {
    const std::string text = "{\"since\":0}";
    const auto bytes = std::as_bytes(std::span(text));
    EXPECT_EQ(shm::send_message(socket_.get(), bytes, std::span(&fd, 1)), 0);
  }

 private:
  shm::UniqueFd socket_;
};

class AReader final : public OnAStream {
 public:
  explicit AReader(const Daemon& daemon) : OnAStream(daemon.events()) {}
};

class AnOperator final : public OnAStream {
 public:
  explicit AnOperator(const Daemon& daemon) : OnAStream(daemon.ctl()) {}
};

bool stands_still(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string number;
  std::string name;
  std::string state;
  in >> number >> name >> state;
  return state == "T";
}

template <typename How>
class Descriptors : public ::testing::Test {};

using AllWays = ::testing::Types<AttachedLiar, BehindABadMessage, BehindAnEmptyMessage, AndHangsUp,
                                 WithAHello, InPlaceOfTheKick, OneTooMany, AReader, AnOperator>;
TYPED_TEST_SUITE(Descriptors, AllWays);

TYPED_TEST(Descriptors, NotAskedForHoldNobodyUp) {
  Daemon daemon;
  Bystander bystander(daemon.vms());
  ASSERT_TRUE(bystander.attached());
  LingeringSocket lingering;
  ASSERT_TRUE(lingering.valid());
  TypeParam liar(daemon);
  // What is given away is the last copy when memfaild goes on: ours would wait as well.
  daemon.signal(SIGSTOP);
  ASSERT_TRUE(test::eventually([&] { return stands_still(daemon.pid()); }));
  liar.give(lingering.fd.get());
  lingering.fd.reset();
  daemon.signal(SIGCONT);
  EXPECT_EQ(bystander.serve(200).unanswered, 0);
  daemon.signal(SIGTERM);
  EXPECT_TRUE(daemon.log_has("the closer thread waits for")) << daemon.log();
  EXPECT_EQ(daemon.wait(), 0);
}

}  // namespace
}  // namespace memfail::hostile
