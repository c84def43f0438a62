/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest (guest.S) and the tests owe each other.
 *
 * Each vCPU has a serial port and is led through it, a command at a time. It
 * answers with the command's byte and then the values, 32 bits each, low byte
 * first. It reads its port with interrupts off: nothing but a machine check, or a
 * reset, ever comes between. What it says unasked is one byte.
 */
#ifndef MEMFAIL_QEMU_GUEST_H
#define MEMFAIL_QEMU_GUEST_H

#define GUEST_RDMSR 'r'      /* MSR -> low, high */
#define GUEST_WRMSR 'w'      /* MSR, low, high -> */
#define GUEST_READ_CR4 'c'   /* -> value */
#define GUEST_WRITE_CR4 'C'  /* value -> */
#define GUEST_CPUID 'i'      /* leaf -> eax, ebx, ecx, edx */
#define GUEST_HALT 'h'       /* answers, halts, and goes on after a machine check */

#define GUEST_READY 'R'         /* unasked: it has just begun */
#define GUEST_MACHINE_CHECK 'M' /* unasked: its handler runs */
#define GUEST_FAULT '!'         /* unasked: any other exception; it is stuck */

/* The image's size, where its last 16 bytes are the processor's first. */
#define GUEST_ROM_SIZE 0x10000
/* A startup interrupt's vector: the image begins there. */
#define GUEST_STARTUP_VECTOR 0xf0

#ifndef __ASSEMBLER__

// NOLINTBEGIN(readability-identifier-naming): labels of guest.S
extern "C" const unsigned char guest_rom[], guest_rom_end[];
// NOLINTEND(readability-identifier-naming)

#endif

#endif
