// A small test harness, so that a machine with nothing but a compiler and CMake can run the native tests.
//
//   TEST(adds_two_numbers) { CHECK(1 + 1 == 2); CHECK_NEAR(x, 2.0, 1e-6); CHECK_STATUS(VBL_OK, vbl_add_bias(...)); }
//
// Random tests take their numbers from Random(seed()); the seed is printed when a check fails, and VBLORA_TEST_SEED
// sets it. An argument on the command line runs only the tests whose name contains it. With VBLORA_TEST_STOP set the
// first failed check ends the program.
#pragma once
#include <cstdint>
#include <string>

#include "vblora/vblora.h"

namespace check {

struct Registration {
  Registration(const char *name, void (*body)());
};

// Seed of this run.
uint64_t seed();

// Reports a failed check, and the device it ran on if a test runs on several; the test goes on.
__attribute__((format(printf, 3, 4))) void failed(const char *file, int line, const char *format, ...);

// Names the device that checks run on from now on; "" for none (device.h).
void set_device_name(const char *name);

// Where the library <name>.module.cpp lies: in the folder modules beside this program.
std::string module(const char *name);

// SplitMix64: the same numbers on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  int64_t between(int64_t low, int64_t high);  // both included
  float uniform(float low, float high);
  float normal();

 private:
  uint64_t state_;
};

// Whether ThreadSanitizer watches. The SIMT host starts few threads per second then, and a race shows in small cases as in
// large ones, so that tests take fewer or smaller ones.
#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif

// Chooses from cases that are many and alike: all of them, but under ThreadSanitizer the first five and every seventh.
class Sample {
 public:
  bool takes() {
    const int n = n_++;
    return !kThreadSanitizer || n < 5 || n % 7 == 0;
  }

 private:
  int n_ = 0;
};

// A CPU stream for the length of a scope.
class CpuStream {
 public:
  explicit CpuStream(int32_t threads = 2);
  ~CpuStream();
  CpuStream(const CpuStream &) = delete;
  CpuStream &operator=(const CpuStream &) = delete;
  operator vbl_stream *() const { return stream_; }

 private:
  vbl_stream *stream_ = nullptr;
};

}  // namespace check

#define TEST(name)                                                          \
  static void test_##name();                                                \
  static const check::Registration registration_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) check::failed(__FILE__, __LINE__, "%s", #condition); \
  } while (0)

#define CHECK_NEAR(found, expected, tolerance)                                                            \
  do {                                                                                                    \
    const double check_found = (found), check_expected = (expected);                                      \
    const double check_difference =                                                                       \
        check_found > check_expected ? check_found - check_expected : check_expected - check_found;       \
    if (!(check_difference <= (tolerance)))                                                               \
      check::failed(__FILE__, __LINE__, "%s: found %.9g, expected %.9g within %.3g", #found, check_found, \
                    check_expected, static_cast<double>(tolerance));                                      \
  } while (0)

#define CHECK_STATUS(expected, call)                                                                       \
  do {                                                                                                     \
    const vbl_status check_status = (call);                                                                \
    if (check_status != (expected))                                                                        \
      check::failed(__FILE__, __LINE__, "%s: status %d, expected %d: %s", #call, check_status, (expected), \
                    vbl_last_error());                                                                     \
  } while (0)
