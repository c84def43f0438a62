// SPDX-License-Identifier: BSD-3-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <thread>

#include "tests/unit/shim/test_vm.h"

namespace memfail::test {
namespace {

using ::testing::HasSubstr;

memfail_config two_vcpus(const TestVm& vm) {
  memfail_config config = vm.config;
  config.socket_path = nullptr;
  config.vcpus = 2;
  return config;
}

class VcpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const memfail_config config = two_vcpus(vm_);
    ASSERT_EQ(memfail_shim_create(&config, &shim_, nullptr), 0);
  }
  void TearDown() override { memfail_shim_destroy(shim_); }
  int add(std::uint32_t index, int fd, kvm_run* run) {
    const memfail_vcpu vcpu{sizeof vcpu, index, fd, run};
    return memfail_vcpu_add(shim_, &vcpu, &lane_, &error_);
  }

  TestVm vm_;
  memfail_shim* shim_ = nullptr;
  memfail_lane* lane_ = nullptr;
  memfail_error error_{};
};

TEST_F(VcpuTest, AnIndexOutOfRangeIsNamedWithTheCount) {
  EXPECT_EQ(add(2, 0, vm_.run()), -ERANGE);
  EXPECT_THAT(error_.text, HasSubstr("2 is out of range"));
  EXPECT_EQ(add(~0U, 0, vm_.run()), -ERANGE);
  EXPECT_EQ(lane_, nullptr);
}

TEST_F(VcpuTest, CannotBeAddedTwice) {
  EXPECT_EQ(add(1, 0, vm_.run()), 0);
  EXPECT_EQ(add(1, 0, vm_.run()), -EEXIST);
  EXPECT_THAT(error_.text, HasSubstr("vCPU 1"));
}

TEST_F(VcpuTest, NeedsADescriptorAndItsSharedPage) {
  EXPECT_EQ(add(0, -1, vm_.run()), -EINVAL);
  EXPECT_EQ(add(0, 0, nullptr), -EINVAL);
  EXPECT_EQ(add(0, 0, vm_.run()), 0) << "a refused one may come again";
}

TEST_F(VcpuTest, AThreadThatBlocksSigbusIsToldSo) {
  sigset_t bus;
  ::sigemptyset(&bus);
  ::sigaddset(&bus, SIGBUS);
  std::thread([&] {
    ::pthread_sigmask(SIG_BLOCK, &bus, nullptr);
    EXPECT_EQ(memfail_thread_enter(vm_.lane(), &error_), -EBUSY);
    EXPECT_THAT(error_.text, HasSubstr("SIGBUS is blocked"));
    EXPECT_THAT(error_.text, HasSubstr("vCPU 0"));
    EXPECT_EQ(memfail_thread_enter(memfail_process_lane(vm_.shim()), &error_), -EBUSY);
    EXPECT_THAT(error_.text, HasSubstr("process lane"));
    ::pthread_sigmask(SIG_UNBLOCK, &bus, nullptr);
    EXPECT_EQ(memfail_thread_enter(vm_.lane(), &error_), 0);
  }).join();
}

TEST_F(VcpuTest, HandlingWithNothingPendingResumes) {
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  EXPECT_FALSE(vm_.immediate_exit());
}

TEST_F(VcpuTest, TheProcessLaneHasNothingForAVcpuToHandle) {
  EXPECT_EQ(memfail_handle(memfail_process_lane(vm_.shim())), MEMFAIL_RESUME);
  EXPECT_EQ(memfail_mmio_exit(memfail_process_lane(vm_.shim()), TestVm::gpa(), 4),
            MEMFAIL_NOT_MINE);
}

TEST_F(VcpuTest, AnMmioExitAtHealthyRamIsNotMine) {
  EXPECT_EQ(memfail_mmio_exit(vm_.lane(), TestVm::gpa(), 4), MEMFAIL_NOT_MINE);
  EXPECT_EQ(memfail_mmio_exit(vm_.lane(), 0xFEE0'0000, 4), MEMFAIL_NOT_MINE);
  EXPECT_EQ(vm_.status().reports, 0U);
}

TEST_F(VcpuTest, AnImmediateExitThatTheVmmAskedForIsLeftAlone) {
  auto* flag = reinterpret_cast<std::uint8_t*>(vm_.run()) + 1;
  *flag = 1;
  memfail_run_begin(vm_.lane());
  EXPECT_EQ(memfail_run_end(vm_.lane()), 0);
  memfail_handle(vm_.lane());
  EXPECT_TRUE(vm_.immediate_exit());
}

}  // namespace
}  // namespace memfail::test
