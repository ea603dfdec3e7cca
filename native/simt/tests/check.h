// Checks that count and go on.
#pragma once
#include <cstdio>

inline int g_failed = 0, g_checked = 0;

#define CHECK(condition)                                                  \
  do {                                                                    \
    ++g_checked;                                                          \
    if (!(condition)) {                                                   \
      ++g_failed;                                                         \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                     \
  } while (0)

inline int report_checks() {
  std::printf("%d checks, %d failed\n", g_checked, g_failed);
  return g_failed != 0;
}
