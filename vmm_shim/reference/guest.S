/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest: a loop that takes commands from its mailbox, and a #MC handler that
 * reports what it finds in the machine-check registers. CS = 0, DS = SS = this
 * vCPU's page, FS = the test region. See guest.h.
 */
#include "vmm_shim/reference/guest.h"

#define MSR_MCG_CAP 0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MC0_STATUS 0x401

#define MCG_STATUS_EIPV 2
#define PUSHED_REGISTERS 32 /* pushal; the saved IP is above */

#define ADDRESS_OF(label) (GUEST_CODE + label - guest_begin)

.macro report port
  outl %eax, $\port
.endm

  .section .rodata
  .code16
  .globl guest_begin, guest_machine_check, guest_end
  .hidden guest_begin, guest_machine_check, guest_end

guest_begin:
  xorl %eax, %eax
  report PORT_READY

next_command:
  pause
  movl MAILBOX_COMMAND, %edx
  testl %edx, %edx
  jz next_command
  movl $COMMAND_NONE, MAILBOX_COMMAND
  movl MAILBOX_ARGUMENT, %ebx
  cmpl $COMMAND_LOAD, %edx
  je load
  cmpl $COMMAND_OUTSB, %edx
  je output_string
  cmpl $COMMAND_WRMSR, %edx
  je write_msr
  cmpl $COMMAND_SCAN_BANKS, %edx
  je scan
  report PORT_STOPPED
stopped:
  hlt
  jmp stopped

load:
  movl %fs:(%ebx), %eax
  jmp done

/* KVM emulates string output everywhere, so poison here is no SIGBUS. */
output_string:
  movl %ebx, %esi
  movl $1, %ecx
  movw $PORT_SCRATCH, %dx
  cld
  .byte 0x64, 0x67, 0xf3, 0x6e /* rep outsb %fs:(%esi), (%dx) */
  jmp done

write_msr:
  movl %ebx, %ecx
  movl MAILBOX_VALUE_LOW, %eax
  movl MAILBOX_VALUE_HIGH, %edx
  wrmsr
  jmp done

scan:
  movl $MSR_MCG_STATUS, %ecx
  rdmsr
  report PORT_MCG_STATUS
  call report_banks
done:
  report PORT_DONE
  jmp next_command

/* Where the #MC handler returns to when the interrupted access cannot go on. */
recovered:
  report PORT_RECOVERED
  jmp next_command

guest_machine_check:
  pushal
  movw %sp, %bp
  movl $MSR_MCG_STATUS, %ecx
  rdmsr
  movl %eax, %edi
  report PORT_MCG_STATUS
  movzwl PUSHED_REGISTERS(%bp), %eax
  report PORT_SAVED_IP
  call report_banks

  testl $MCG_STATUS_EIPV, %edi
  jz 1f
  movw $ADDRESS_OF(recovered), PUSHED_REGISTERS(%bp)
1:
  cmpl $0, MAILBOX_TOUCH_FLAG
  je 2f
  report PORT_IN_HANDLER
  movl MAILBOX_TOUCH_OFFSET, %ebx
  movl %fs:(%ebx), %eax
2:
  xorl %eax, %eax /* MCG_STATUS := 0: the next machine check may come */
  xorl %edx, %edx
  movl $MSR_MCG_STATUS, %ecx
  wrmsr
  popal
  iretw

/* Reports every valid bank and clears it. Changes eax, ebx, ecx, edx, esi. */
report_banks:
  movl $MSR_MCG_CAP, %ecx
  rdmsr
  report PORT_MCG_CAP
  movzbl %al, %esi /* banks */
  xorl %ebx, %ebx
1:
  leal MSR_MC0_STATUS(,%ebx,4), %ecx
  rdmsr
  testl %edx, %edx /* VAL is bit 63 */
  jns 2f
  call report_bank
2:
  incl %ebx
  cmpl %esi, %ebx
  jb 1b
  ret

/* ebx: bank; ecx: its STATUS register, of which edx:eax is the value. */
report_bank:
  pushl %eax
  movl %ebx, %eax
  report PORT_BANK
  popl %eax
  report PORT_STATUS_LOW
  movl %edx, %eax
  report PORT_STATUS_HIGH
  incl %ecx
  rdmsr
  report PORT_ADDR_LOW
  movl %edx, %eax
  report PORT_ADDR_HIGH
  incl %ecx
  rdmsr
  report PORT_MISC_LOW
  movl %edx, %eax
  report PORT_MISC_HIGH
  subl $2, %ecx
  xorl %eax, %eax
  xorl %edx, %edx
  wrmsr
  ret
guest_end:

  .section .note.GNU-stack, "", @progbits
