// Atomic functions on 32- and 64-bit integers, float and double: relaxed, as CUDA's are, so that ThreadSanitizer takes
// them for atomic and for nothing more.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace simt {

template <typename To, typename From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From) && std::is_trivially_copyable_v<From>, "bits of one size");
  To to;
  std::memcpy(static_cast<void *>(&to), &from, sizeof to);
  return to;
}

// Replaces *address by next(old) and returns old.
template <typename T, typename F>
T atomic_update(T *address, F next) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  Bits *bits = reinterpret_cast<Bits *>(address);
  Bits old = __atomic_load_n(bits, __ATOMIC_RELAXED);
  for (;;) {
    const T value = bit_cast<T>(old);
    const Bits replaced = bit_cast<Bits>(static_cast<T>(next(value)));
    if (__atomic_compare_exchange_n(bits, &old, replaced, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return value;
  }
}

}  // namespace simt

#define SIMT_ATOMIC(name, T, expression)                                                            \
  inline T name(T *address, T operand) {                                                            \
    return ::simt::atomic_update(address, [=]([[maybe_unused]] T old) -> T { return expression; }); \
  }                                                                                                 \
  inline T name##_block(T *address, T operand) { return name(address, operand); }                   \
  inline T name##_system(T *address, T operand) { return name(address, operand); }

#define SIMT_ATOMIC_INTEGER(T)                             \
  SIMT_ATOMIC(atomicMin, T, operand < old ? operand : old) \
  SIMT_ATOMIC(atomicMax, T, old < operand ? operand : old) \
  SIMT_ATOMIC(atomicAnd, T, old &operand)                  \
  SIMT_ATOMIC(atomicOr, T, old | operand)                  \
  SIMT_ATOMIC(atomicXor, T, old ^ operand)

#define SIMT_ATOMIC_CAS(T)                                                                                \
  inline T atomicCAS(T *address, T compare, T value) {                                                    \
    return ::simt::atomic_update(address, [=](T old) { return old == compare ? value : old; });           \
  }                                                                                                       \
  inline T atomicCAS_block(T *address, T compare, T value) { return atomicCAS(address, compare, value); } \
  inline T atomicCAS_system(T *address, T compare, T value) { return atomicCAS(address, compare, value); }

// Integers wrap around.
SIMT_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(operand)))
SIMT_ATOMIC(atomicAdd, unsigned, old + operand)
SIMT_ATOMIC(atomicAdd, unsigned long long, old + operand)
SIMT_ATOMIC(atomicAdd, float, old + operand)
SIMT_ATOMIC(atomicAdd, double, old + operand)
SIMT_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(operand)))
SIMT_ATOMIC(atomicSub, unsigned, old - operand)
SIMT_ATOMIC(atomicExch, int, operand)
SIMT_ATOMIC(atomicExch, unsigned, operand)
SIMT_ATOMIC(atomicExch, unsigned long long, operand)
SIMT_ATOMIC(atomicExch, float, operand)
SIMT_ATOMIC(atomicInc, unsigned, old >= operand ? 0u : old + 1u)
SIMT_ATOMIC(atomicDec, unsigned, old == 0u || old > operand ? operand : old - 1u)
SIMT_ATOMIC_INTEGER(int)
SIMT_ATOMIC_INTEGER(unsigned)
SIMT_ATOMIC_INTEGER(long long)
SIMT_ATOMIC_INTEGER(unsigned long long)
SIMT_ATOMIC_CAS(int)
SIMT_ATOMIC_CAS(unsigned)
SIMT_ATOMIC_CAS(unsigned short)
SIMT_ATOMIC_CAS(unsigned long long)

#undef SIMT_ATOMIC
#undef SIMT_ATOMIC_INTEGER
#undef SIMT_ATOMIC_CAS
