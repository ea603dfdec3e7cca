// Loads and stores with cache hints, which a CPU does without.
#pragma once

#define SIMT_LOAD(name)      \
  template <typename T>      \
  T name(const T *address) { \
    return *address;         \
  }
#define SIMT_STORE(name)           \
  template <typename T>            \
  void name(T *address, T value) { \
    *address = value;              \
  }
SIMT_LOAD(__ldg)
SIMT_LOAD(__ldca)
SIMT_LOAD(__ldcg)
SIMT_LOAD(__ldcs)
SIMT_LOAD(__ldcv)
SIMT_LOAD(__ldlu)
SIMT_STORE(__stwb)
SIMT_STORE(__stcg)
SIMT_STORE(__stcs)
SIMT_STORE(__stwt)
#undef SIMT_LOAD
#undef SIMT_STORE

inline void __nanosleep(unsigned) {}
