#include "check.h"

#include <limits.h>
#include <unistd.h>

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

namespace check {
namespace {

struct Test {
  const char *name;
  void (*body)();
};

std::vector<Test> &tests() {
  static std::vector<Test> all;
  return all;
}

const char *running = "", *device = "";
int failures = 0;

}  // namespace

Registration::Registration(const char *name, void (*body)()) { tests().push_back({name, body}); }

uint64_t seed() {
  static const uint64_t value = [] {
    const char *given = std::getenv("VBLORA_TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 0) : 20240530ull;
  }();
  return value;
}

void failed(const char *file, int line, const char *format, ...) {
  ++failures;
  static const bool stop = std::getenv("VBLORA_TEST_STOP") != nullptr;
  if (failures > 50) return;
  std::fprintf(stderr, "%s:%d: %s%s%s failed: ", file, line, running, *device != '\0' ? " on " : "", device);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "\n");
  if (stop) std::_Exit(1);
}

void set_device_name(const char *name) { device = name; }

std::string module(const char *name) {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0) {
    std::perror("/proc/self/exe");
    std::abort();
  }
  const std::string program(path, static_cast<size_t>(length));
  return program.substr(0, program.rfind('/')) + "/modules/" + name + ".so";
}

uint64_t Random::next() {
  state_ += 0x9E3779B97F4A7C15ull;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

int64_t Random::between(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1));
}

float Random::uniform(float low, float high) {
  return low + (high - low) * static_cast<float>(static_cast<double>(next() >> 40) * 0x1p-24);
}

float Random::normal() {
  const double u = (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53, v = static_cast<double>(next() >> 11) * 0x1p-53;
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v));
}

CpuStream::CpuStream(int32_t threads) {
  if (vbl_stream_create(VBL_DEVICE_CPU, threads, &stream_) != VBL_OK) {
    std::fprintf(stderr, "no CPU stream: %s\n", vbl_last_error());
    std::abort();
  }
}

CpuStream::~CpuStream() { vbl_stream_destroy(stream_); }

}  // namespace check

int main(int count, char **arguments) {
  int ran = 0;
  for (const check::Test &test : check::tests()) {
    if (count > 1 && std::strstr(test.name, arguments[1]) == nullptr) continue;
    check::running = test.name;
    test.body();
    ++ran;
  }
  if (check::failures > 0)
    std::fprintf(stderr, "%d checks failed; reproduce with VBLORA_TEST_SEED=%llu\n", check::failures,
                 static_cast<unsigned long long>(check::seed()));
  std::printf("%d tests, %d failed checks, instruction set %s\n", ran, check::failures, vbl_cpu_isa());
  return check::failures > 0 || ran == 0 ? 1 : 0;
}
