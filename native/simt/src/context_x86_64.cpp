// Switching on x86-64 by hand: ucontext saves the signal mask with a system call, 20 times as slow.
#include "context.h"

#if !defined(SIMT_UCONTEXT)
#include <cstdint>

// Saves what a call must preserve (System V ABI), exchanges stacks, restores. MXCSR and the x87 control word are left:
// all fibers of a thread share them.
extern "C" void simt_switch_stack(void **save, void *to);
asm(R"(
.text
.p2align 4
.globl simt_switch_stack
.hidden simt_switch_stack
.type simt_switch_stack,@function
simt_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch_stack, .-simt_switch_stack
)");

namespace simt {

void make_context(Context &context, char *low, size_t bytes, void (*entry)()) {
  // From the top: an end of the call chain, the address `ret` goes to, six registers. `entry` then finds the stack as
  // after a call: 8 bytes past a multiple of 16.
  void **top = reinterpret_cast<void **>(reinterpret_cast<uintptr_t>(low + bytes) & ~uintptr_t{15});
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  context.stack_pointer = top;
}

void switch_context(Context &from, Context &to) { simt_switch_stack(&from.stack_pointer, to.stack_pointer); }

}  // namespace simt
#endif
