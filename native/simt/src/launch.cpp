#include "launch.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <numeric>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "current_device.h"
#include "device.h"
#include "error.h"
#include "multiprocessor.h"
#include "pool.h"
#include "sanitizer.h"
#include "simt/simt.h"
#include "stream.h"

namespace simt {
namespace {

uint64_t seed_of_environment() {
  const char *text = std::getenv("SIMT_SEED");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 0);
}

std::atomic<uint64_t> &seed() {
  static std::atomic<uint64_t> value{seed_of_environment()};
  return value;
}

std::mutex launch_mutex;  // one grid at a time

// Which devices have which kernels.
std::mutex loaded_mutex;
std::set<std::pair<int, const void *>> &loaded() {
  static auto *const kernels = new std::set<std::pair<int, const void *>>;
  return *kernels;
}

std::mutex limits_mutex;
std::unordered_map<const void *, size_t> &limits() {
  static auto *const map = new std::unordered_map<const void *, size_t>;
  return *map;
}

std::string text(dim3 d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

std::string launch_name(const Launch &launch) {
  return "kernel " + std::string(launch.name.kernel) + " (launched at " + launch.name.file + ":" +
         std::to_string(launch.name.line) + ")";
}

// What CUDA refuses before anything runs.
cudaError_t check(const Launch &launch) {
  const auto refuse = [&](cudaError_t error, const std::string &why) {
    return report(error, launch_name(launch) + ": " + why);
  };
  const dim3 g = launch.grid, b = launch.block;
  if (Multiprocessor::running() != nullptr) return refuse(cudaErrorNotSupported, "a kernel cannot launch a kernel");
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > kMaxGridX || g.y > kMaxGridYZ || g.z > kMaxGridYZ) {
    return refuse(cudaErrorInvalidConfiguration,
                  "grid " + text(g) + " is not within (1,1,1) and (2147483647,65535,65535)");
  }
  if (b.x == 0 || b.y == 0 || b.z == 0 || b.x > kMaxBlockXY || b.y > kMaxBlockXY || b.z > kMaxBlockZ) {
    return refuse(cudaErrorInvalidConfiguration, "block " + text(b) + " is not within (1,1,1) and (1024,1024,64)");
  }
  if (uint64_t{b.x} * b.y * b.z > kMaxThreads) {
    return refuse(cudaErrorInvalidConfiguration, "block " + text(b) + " has more than 1024 threads");
  }
  const size_t limit = dynamic_shared_limit(launch.kernel);
  if (launch.shared_bytes > limit) {
    return refuse(cudaErrorInvalidValue, std::to_string(launch.shared_bytes) + " bytes of dynamic shared memory, but " +
                                             std::to_string(limit) +
                                             " are allowed (cudaFuncSetAttribute raises it to " +
                                             std::to_string(kSharedBytesOptIn) + ")");
  }
  return cudaSuccess;
}

// A permutation of 0 .. n-1 by the seed: i -> (i * factor + offset) mod n.
struct BlockOrder {
  BlockOrder(uint64_t n_, uint64_t seed) : n(n_) {
    if (seed == 0) return;
    Random random(seed);
    offset = random.next() % n;
    do factor = 1 + random.next() % n;
    while (std::gcd(factor, n) != 1);
  }
  uint64_t operator()(uint64_t i) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(i) * factor + offset) % n);
  }
  uint64_t n, factor = 1, offset = 0;
};

// A sanitizer that ends the process in a kernel knows the line, but not the block.
void say_where() {
  if (const Multiprocessor *running = Multiprocessor::running()) {
    std::fprintf(stderr, "simt: in %s [SIMT_SEED=%llu]\n", running->where().c_str(),
                 static_cast<unsigned long long>(seed().load()));
  }
}

void watch_for_death() {
  static const bool watching = [] {
    if (&__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(say_where);
    return true;
  }();
  (void)watching;
}

// The names of all kernels that may be launched. Libraries are loaded one after another.
std::set<std::string> &known_kernels() {
  static auto *const names = new std::set<std::string>;
  return *names;
}

std::FILE *file_of_environment(const char *variable) {
  const char *path = std::getenv(variable);
  return path == nullptr ? nullptr : std::fopen(path, "w");
}

// Writes a line "<blocks> <kernel>" for each launch to the file that SIMT_LAUNCH_LOG names; before the first one, a
// line "<kernel>" for each that may be launched to that of SIMT_KERNEL_LIST.
void log_launch(const Launch &launch, uint64_t blocks) {
  static std::FILE *const log = [] {
    if (std::FILE *const list = file_of_environment("SIMT_KERNEL_LIST")) {
      for (const std::string &kernel : known_kernels()) std::fprintf(list, "%s\n", kernel.c_str());
      std::fclose(list);
    }
    return file_of_environment("SIMT_LAUNCH_LOG");
  }();
  if (log != nullptr) std::fprintf(log, "%llu %s\n", static_cast<unsigned long long>(blocks), launch.name.instance);
}

}  // namespace

// From "... [with auto Kernel = a::b::kernel<...>]", without the namespaces of the kernel itself.
const char *known_kernel(const char *signature) {
  std::string name = signature;
  name = name.substr(name.find(" = ") + 3);
  name.pop_back();
  const size_t qualified = name.rfind("::", name.find('<'));
  if (qualified != std::string::npos) name.erase(0, qualified + 2);
  return known_kernels().insert(name).first->c_str();
}

cudaError_t load_kernel(const void *kernel, const std::string &why) {
  const std::pair<int, const void *> here(current_device(), kernel);
  {
    const std::lock_guard<std::mutex> lock(loaded_mutex);
    if (loaded().count(here) != 0) return cudaSuccess;
  }
  if (const cudaError_t error = check_not_capturing((why + ": a kernel is loaded, when it is first needed,").c_str()))
    return error;
  const std::lock_guard<std::mutex> lock(loaded_mutex);
  loaded().insert(here);
  return cudaSuccess;
}

size_t dynamic_shared_limit(const void *kernel) {
  std::lock_guard<std::mutex> lock(limits_mutex);
  const auto found = limits().find(kernel);
  return found == limits().end() ? kSharedBytes : found->second;
}

void set_dynamic_shared_limit(const void *kernel, size_t bytes) {
  std::lock_guard<std::mutex> lock(limits_mutex);
  limits()[kernel] = bytes;
}

cudaError_t run_grid(const Launch &launch) {
  watch_for_death();
  const std::lock_guard<std::mutex> launch_lock(launch_mutex);
  Grid grid{launch, seed().load(), 0};
  std::mutex error_mutex;
  std::string error;
  std::atomic<bool> failed{false};
  const uint64_t blocks = uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  log_launch(launch, blocks);
  const BlockOrder order(blocks, grid.seed);
  const auto task = [&](int64_t i, Multiprocessor &multiprocessor) {
    if (failed.load(std::memory_order_relaxed)) return;
    const uint64_t b = order(static_cast<uint64_t>(i));
    const uint64_t plane = uint64_t{launch.grid.x} * launch.grid.y;
    const uint3 block = {static_cast<unsigned>(b % launch.grid.x),
                         static_cast<unsigned>(b / launch.grid.x % launch.grid.y), static_cast<unsigned>(b / plane)};
    std::string message;
    try {
      message = multiprocessor.run(grid, block);
    } catch (const std::bad_alloc &) {
      message = launch_name(launch) + ": no memory for its threads' stacks";
    }
    if (message.empty()) return;
    const std::lock_guard<std::mutex> lock(error_mutex);
    if (!failed.exchange(true)) error = message;
  };
  run_on_pool(static_cast<int64_t>(blocks), launch.shared_per_process ? 1 : pool_width(), task);
  sanitizer::acquire(&grid.done_tag);
  if (!failed) return cudaSuccess;
  return report(cudaErrorLaunchFailure, error + " [SIMT_SEED=" + std::to_string(grid.seed) + "]");
}

void enqueue(const Launch &launch) {
  if (check(launch) != cudaSuccess) return;
  if (check_launchable(launch_name(launch).c_str(), launch.stream) != cudaSuccess) return;
  if (load_kernel(launch.kernel, launch_name(launch)) != cudaSuccess) return;
  enqueue_work(launch.stream, [launch] { return run_grid(launch); });
}

}  // namespace simt

void simt_set_seed(uint64_t seed) { simt::seed() = seed; }
void simt_unload_kernels(void) {
  const std::lock_guard<std::mutex> lock(simt::loaded_mutex);
  simt::loaded().clear();
}
uint64_t simt_get_seed(void) { return simt::seed(); }
