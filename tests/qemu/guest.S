/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest: a ROM in the firmware's place, in real mode, which every KVM can run.
 * It does nothing of its own: the test sets the registers through it and reads
 * them back. See guest.h. BP holds the port of this vCPU.
 */
#include "tests/qemu/guest.h"

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_BOOT_PROCESSOR 0x100

#define BOOT_PORT 0x3f8
#define BOOT_STACK 0x7000
#define OTHER_PORT 0x2f8
#define OTHER_STACK 0x6000

#define PORT_FIFO_CONTROL 2
#define FIFO_ENABLE 1
#define PORT_LINE_STATUS 5
#define LINE_RECEIVED 1
#define LINE_CAN_SEND 0x20

/* Turns between two looks at the port: each look takes the lock of all of QEMU. */
#define IDLE_TURNS 40

#define ROM_SEGMENT 0xf000
#define VECTORS 32
#define VECTOR_MACHINE_CHECK 18
#define OFFSET_OF(label) (label - guest_rom)

  .section .rodata
  .code16
  .globl guest_rom, guest_rom_end
  .hidden guest_rom, guest_rom_end

/* After a reset, and for the second vCPU after its startup interrupt. */
guest_rom:
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw $BOOT_PORT, %bp
  movw $BOOT_STACK, %sp
  movl $MSR_APIC_BASE, %ecx
  rdmsr
  testl $APIC_BASE_BOOT_PROCESSOR, %eax
  jnz 1f
  movw $OTHER_PORT, %bp
  movw $OTHER_STACK, %sp
1:
  cld
  xorw %di, %di
  movl $(ROM_SEGMENT << 16 | OFFSET_OF(fault)), %eax
  movw $VECTORS, %cx
  rep stosl
  movw $OFFSET_OF(machine_check), 4 * VECTOR_MACHINE_CHECK

  leaw PORT_FIFO_CONTROL(%bp), %dx /* a whole command comes at once */
  movb $FIFO_ENABLE, %al
  outb %al, %dx
  movb $GUEST_READY, %al
  call send
next_command:
  call receive
  cmpb $GUEST_RDMSR, %al
  je read_msr
  cmpb $GUEST_WRMSR, %al
  je write_msr
  cmpb $GUEST_READ_CR4, %al
  je read_cr4
  cmpb $GUEST_WRITE_CR4, %al
  je write_cr4
  cmpb $GUEST_CPUID, %al
  je read_cpuid
  cmpb $GUEST_HALT, %al
  je halt
  jmp fault

read_msr:
  call receive_long
  movl %eax, %ecx
  rdmsr
  pushl %edx
  pushl %eax
  movb $GUEST_RDMSR, %al
  movw $2, %cx
  jmp answer

write_msr:
  call receive_long
  movl %eax, %ecx
  call receive_long
  movl %eax, %ebx
  call receive_long
  movl %eax, %edx
  movl %ebx, %eax
  wrmsr
  movb $GUEST_WRMSR, %al
  xorw %cx, %cx
  jmp answer

read_cr4:
  movl %cr4, %eax
  pushl %eax
  movb $GUEST_READ_CR4, %al
  movw $1, %cx
  jmp answer

write_cr4:
  call receive_long
  movl %eax, %cr4
  movb $GUEST_WRITE_CR4, %al
  xorw %cx, %cx
  jmp answer

read_cpuid:
  call receive_long
  xorl %ecx, %ecx
  cpuid
  pushl %edx
  pushl %ecx
  pushl %ebx
  pushl %eax
  movb $GUEST_CPUID, %al
  movw $4, %cx
  jmp answer

/* Says al, then the cx longs on top of the stack, and takes them off. Up to four:
   the port's FIFO. */
answer:
  call send
  shlw $2, %cx
  call await_sendable
  movw %bp, %dx
  movw %sp, %si
  rep outsb
  movw %si, %sp
  jmp next_command

halt:
  movb $GUEST_HALT, %al
  call send
  hlt
  jmp next_command

/* The registers stay as they are: the test reads them, and clears MCIP. */
machine_check:
  pushal
  movb $GUEST_MACHINE_CHECK, %al
  call send
  popal
  iretw

fault:
  movb $GUEST_FAULT, %al
  call send
1:
  hlt
  jmp 1b

/* Sends al. Changes ax and dx. */
send:
  movb %al, %ah
  call await_sendable
  movw %bp, %dx
  movb %ah, %al
  outb %al, %dx
  ret

/* Until all that was sent is gone. Changes al and dx. */
await_sendable:
  leaw PORT_LINE_STATUS(%bp), %dx
1:
  inb %dx, %al
  testb $LINE_CAN_SEND, %al
  jz 1b
  ret

/* Receives al. Changes dx. */
receive:
  leaw PORT_LINE_STATUS(%bp), %dx
  inb %dx, %al
  testb $LINE_RECEIVED, %al
  jnz 2f
  movw $IDLE_TURNS, %dx
1:
  pause
  decw %dx
  jnz 1b
  jmp receive
2:
  movw %bp, %dx
  inb %dx, %al
  ret

/* Receives eax. Changes edi, dx and si. */
receive_long:
  movw $4, %si
1:
  shrl $8, %edi
  call receive
  shll $24, %eax
  orl %eax, %edi
  decw %si
  jnz 1b
  movl %edi, %eax
  ret

  .org guest_rom + GUEST_ROM_SIZE - 16
  ljmp $ROM_SEGMENT, $0
  .org guest_rom + GUEST_ROM_SIZE
guest_rom_end:

  .section .note.GNU-stack, "", @progbits
