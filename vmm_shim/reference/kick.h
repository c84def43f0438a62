// SPDX-License-Identifier: BSD-3-Clause
//
// Gets a vCPU's thread out of KVM_RUN: SIGUSR1, whose handler sets the thread's
// kvm_run->immediate_exit, so that a kick that comes just before KVM_RUN counts.
#pragma once

#include <linux/kvm.h>
#include <pthread.h>

namespace memfail::reference {

// Once, before the first vCPU thread.
void install_kick_handler();

// What a kick of the calling thread sets; nullptr when its vCPU goes away.
void set_kick_target(kvm_run* run);

// `thread` has not been joined yet.
void kick(pthread_t thread);

}  // namespace memfail::reference
