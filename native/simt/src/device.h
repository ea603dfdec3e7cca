// The devices: this process's CPU, in the guise of one or more small GPUs of compute capability 9.0.
#pragma once
#include <cstdint>
#include <cstdlib>

namespace simt {

constexpr unsigned kMaxGridX = 0x7fffffff, kMaxGridYZ = 65535;
constexpr unsigned kMaxBlockXY = 1024, kMaxBlockZ = 64, kMaxThreads = 1024;
constexpr int kMultiprocessors = 4;  // few, so that kernels whose grids depend on it loop
constexpr int kThreadsPerMultiprocessor = 2048, kBlocksPerMultiprocessor = 32, kRegisters = 65536;
constexpr int kComputeMajor = 9, kComputeMinor = 0;
constexpr int kRuntimeVersion = 13000;
constexpr char kDeviceName[] = "SIMT host";
constexpr int kMaxDevices = 16;

// SIMT_DEVICES, 1 by default; with 0 all is as on a machine without a GPU.
inline int device_count() {
  static const int count = [] {
    const char *text = std::getenv("SIMT_DEVICES");
    const int wanted = text == nullptr ? 1 : std::atoi(text);
    return wanted < 0 ? 0 : wanted > kMaxDevices ? kMaxDevices : wanted;
  }();
  return count;
}

}  // namespace simt
