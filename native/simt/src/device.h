// The one device there is: this process's CPU, in the guise of a small GPU of compute capability 9.0.
#pragma once
#include <cstdint>

namespace simt {

constexpr unsigned kMaxGridX = 0x7fffffff, kMaxGridYZ = 65535;
constexpr unsigned kMaxBlockXY = 1024, kMaxBlockZ = 64, kMaxThreads = 1024;
constexpr int kMultiprocessors = 4;  // few, so that kernels whose grids depend on it loop
constexpr int kThreadsPerMultiprocessor = 2048, kBlocksPerMultiprocessor = 32, kRegisters = 65536;
constexpr int kComputeMajor = 9, kComputeMinor = 0;
constexpr int kRuntimeVersion = 13000;
constexpr char kDeviceName[] = "SIMT host";

}  // namespace simt
