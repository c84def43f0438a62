/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest (guest.S) and the VMM owe each other.
 *
 * The guest is 16-bit code: real mode is what every KVM can run, those that
 * emulate it included. Each vCPU has one page of low RAM: its mailbox at the
 * bottom, its stack at the top; DS and SS point there. The guest reports with
 * 32-bit `out`s; which vCPU speaks the VMM knows from whose exit it is. The test
 * region lies above what real mode reaches, so the VMM gives FS its base there.
 */
#ifndef MEMFAIL_REFERENCE_GUEST_H
#define MEMFAIL_REFERENCE_GUEST_H

/* Guest physical addresses. */
#define GUEST_CODE 0x1000
#define GUEST_VCPU_PAGES 0x10000
#define GUEST_VCPU_PAGE_SIZE 0x1000
#define GUEST_LOW_SIZE 0x100000
#define GUEST_TEST_REGION 0x200000
#define GUEST_TEST_SIZE 0x400000

/* Mailbox: offsets in the vCPU's page. The VMM writes the command last, the
 * guest sets it back to 0 when it has taken it. */
#define MAILBOX_COMMAND 0
#define MAILBOX_ARGUMENT 4
#define MAILBOX_VALUE_LOW 8
#define MAILBOX_VALUE_HIGH 12
#define MAILBOX_TOUCH_FLAG 16   /* the #MC handler loads … */
#define MAILBOX_TOUCH_OFFSET 20 /* … this offset of FS, with MCIP still set */

#define COMMAND_NONE 0
#define COMMAND_LOAD 1       /* load a dword at FS:[argument] */
#define COMMAND_OUTSB 2      /* one `rep outsb` from FS:[argument] */
#define COMMAND_WRMSR 3      /* MSR argument := value */
#define COMMAND_SCAN_BANKS 4 /* report the banks that are valid, without a #MC */
#define COMMAND_STOP 5

/* Ports; an `out` of 32 bits to each. None is a device of KVM's own. */
#define PORT_READY 0xe0
#define PORT_DONE 0xe1 /* a command is done; the value it loaded */
#define PORT_MCG_STATUS 0xe2
#define PORT_MCG_CAP 0xe3
#define PORT_SAVED_IP 0xe4
#define PORT_BANK 0xe5 /* begins a record … */
#define PORT_STATUS_LOW 0xe6
#define PORT_STATUS_HIGH 0xe7
#define PORT_ADDR_LOW 0xe8
#define PORT_ADDR_HIGH 0xe9
#define PORT_MISC_LOW 0xea
#define PORT_MISC_HIGH 0xeb /* … and ends it */
#define PORT_IN_HANDLER 0xec
#define PORT_RECOVERED 0xed
#define PORT_STOPPED 0xee
#define PORT_SCRATCH 0xef

#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_GENERAL_PROTECTION 13
#define VECTOR_PAGE_FAULT 14
#define VECTOR_MACHINE_CHECK 18

#ifndef __ASSEMBLER__

/* The guest's image, to be copied to GUEST_CODE; it starts with its entry. */
// NOLINTBEGIN(readability-identifier-naming): labels of guest.S
extern "C" const unsigned char guest_begin[], guest_machine_check[], guest_end[];
// NOLINTEND(readability-identifier-naming)

#endif

#endif
