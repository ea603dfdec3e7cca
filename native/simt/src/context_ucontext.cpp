// Switching on other CPUs, by the C library. AddressSanitizer warns of swapcontext once; it is told of every switch.
#include "context.h"

#if defined(SIMT_UCONTEXT)

namespace simt {

void make_context(Context &context, char *low, size_t bytes, void (*entry)()) {
  getcontext(&context.state);
  context.state.uc_stack.ss_sp = low;
  context.state.uc_stack.ss_size = bytes;
  context.state.uc_link = nullptr;
  makecontext(&context.state, entry, 0);
}

void switch_context(Context &from, Context &to) { swapcontext(&from.state, &to.state); }

}  // namespace simt
#endif
