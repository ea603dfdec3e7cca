// A saved point of execution with a stack of its own: what a fiber is made of.
#pragma once
#include <cstddef>

#if !defined(__x86_64__) || defined(SIMT_USE_UCONTEXT)
#define SIMT_UCONTEXT 1
#include <ucontext.h>
#endif

namespace simt {

#if defined(SIMT_UCONTEXT)
struct Context {
  ucontext_t state;
};
#else
struct Context {
  void *stack_pointer;
};
#endif

// Makes `context` start at `entry`, which must not return, on the stack [low, low + bytes).
void make_context(Context &context, char *low, size_t bytes, void (*entry)());

// Saves this point in `from` and goes on in `to`; returns when something switches back to `from`.
void switch_context(Context &from, Context &to);

}  // namespace simt
