// The runtime API: memory, streams, events, graphs, and the errors that CUDA defines.
#include <cuda.h>
#include <cuda_runtime.h>
#include <simt/simt.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace {

// The call fails with this error, which cudaGetLastError then tells once.
#define CHECK_ERROR(error, call)              \
  do {                                        \
    CHECK((call) == (error));                 \
    CHECK(cudaPeekAtLastError() == (error));  \
    CHECK(cudaGetLastError() == (error));     \
    CHECK(cudaGetLastError() == cudaSuccess); \
  } while (0)
#define CHECK_OK(call) CHECK((call) == cudaSuccess)

constexpr int kDevices = 3, kUnavailable = 2;

__global__ void scale(const float *x, float *y, float factor, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = factor * x[i];
}

__global__ void nothing() {}
__global__ void use_dynamic(int *out) {
  SIMT_DYNAMIC_SHARED(int, memory);
  memory[threadIdx.x] = 1;
  *out = memory[0];
}

void check_device() {
  int count = 0, device = -1, value = 0, version = 0;
  CHECK_OK(cudaGetDeviceCount(&count));
  CHECK_OK(cudaGetDevice(&device));
  CHECK(count == kDevices && device == 0);
  CHECK_OK(cudaSetDevice(0));
  CHECK_ERROR(cudaErrorInvalidDevice, cudaSetDevice(kDevices));
  cudaDeviceProp properties;
  CHECK_OK(cudaGetDeviceProperties(&properties, 0));
  CHECK(properties.major == 9 && properties.warpSize == 32 && properties.maxThreadsPerBlock == 1024);
  CHECK(std::string(properties.name) == "SIMT host");
  CHECK_OK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
  CHECK(value == properties.multiProcessorCount && value > 0);
  CHECK_OK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  CHECK(value == 227 * 1024);
  CHECK_ERROR(cudaErrorInvalidDevice, cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, kDevices));
  CHECK_OK(cudaRuntimeGetVersion(&version));
  CHECK(version == CUDART_VERSION);
  CHECK(std::string(cudaGetErrorName(cudaErrorLaunchFailure)) == "cudaErrorLaunchFailure");
  CHECK(std::string(cudaGetErrorString(cudaSuccess)) == "no error");
}

template <typename Function>
Function *driver(const char *name) {
  void *function = nullptr;
  cudaDriverEntryPointQueryResult result;
  CHECK_OK(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &result));
  CHECK(result == cudaDriverEntryPointSuccess);
  return reinterpret_cast<Function *>(function);
}
#define DRIVER(name) driver<decltype(name)>(#name)

bool has_context(int device) {
  unsigned flags = 0;
  int active = -1;
  CHECK(DRIVER(cuDevicePrimaryCtxGetState)(device, &flags, &active) == CUDA_SUCCESS);
  return active != 0;
}

// First of all: a context is opened by what needs it, and no other.
void check_contexts() {
  int device = -1;
  CHECK_OK(cudaGetDevice(&device));
  CHECK(device == 0 && !has_context(0));
  CUcontext second = nullptr, found = nullptr;
  CHECK(DRIVER(cuCtxPopCurrent)(&found) == CUDA_ERROR_INVALID_CONTEXT);
  CHECK(DRIVER(cuDevicePrimaryCtxRetain)(&second, 1) == CUDA_SUCCESS && has_context(1));
  CHECK(DRIVER(cuDevicePrimaryCtxRetain)(&found, kUnavailable) == CUDA_ERROR_DEVICE_UNAVAILABLE);
  CHECK(DRIVER(cuDevicePrimaryCtxRetain)(&found, kDevices) == CUDA_ERROR_INVALID_DEVICE);
  CHECK(DRIVER(cuCtxPushCurrent)(second) == CUDA_SUCCESS);
  CHECK_OK(cudaGetDevice(&device));
  CHECK_OK(cudaDeviceSynchronize());
  CHECK(device == 1 && !has_context(0));
  CHECK(DRIVER(cuCtxPopCurrent)(&found) == CUDA_SUCCESS && found == second);
  CHECK(DRIVER(cuCtxGetCurrent)(&found) == CUDA_SUCCESS && found == nullptr);
  CHECK_OK(cudaDeviceSynchronize());
  CHECK_OK(cudaGetDevice(&device));
  CHECK(device == 0 && has_context(0));
  CHECK(DRIVER(cuCtxGetCurrent)(&found) == CUDA_SUCCESS && found != nullptr && found != second);
  CHECK_ERROR(cudaErrorDevicesUnavailable, cudaSetDevice(kUnavailable));
  CHECK_OK(cudaGetDevice(&device));
  CHECK(device == 0);
  void *none = &device;
  cudaDriverEntryPointQueryResult result;
  CHECK_OK(cudaGetDriverEntryPointByVersion("cuNothing", &none, 12000, cudaEnableDefault, &result));
  CHECK(none == nullptr && result == cudaDriverEntryPointSymbolNotFound);
}

void check_memory() {
  size_t bytes = 0;
  CHECK(simt_live_allocations(nullptr) == 0);
  char *device = nullptr, *pinned = nullptr, local[100];
  CHECK_OK(cudaMalloc(&device, 100));
  CHECK_OK(cudaMallocHost(&pinned, 50));
  CHECK(simt_live_allocations(&bytes) == 2 && bytes == 150);
  CHECK(reinterpret_cast<uintptr_t>(device) % 256 == 0);
  CHECK_OK(cudaMemcpy(local, device, 100, cudaMemcpyDeviceToHost));
  for (const char c : local) CHECK(c == '\xff');  // fresh memory holds no zeros

  CHECK_OK(cudaMemset(device, 7, 100));
  CHECK_OK(cudaMemcpy(local, device + 50, 50, cudaMemcpyDefault));
  CHECK(local[0] == 7 && local[49] == 7 && local[50] == '\xff');
  CHECK_ERROR(cudaErrorInvalidValue, cudaMemcpy(local, device + 50, 51, cudaMemcpyDeviceToHost));
  CHECK(std::strstr(simt_last_message(), "51 bytes at offset 50 of the source, which has 100 bytes") != nullptr);
  CHECK_ERROR(cudaErrorInvalidValue, cudaMemset(device, 0, 101));
  CHECK_ERROR(cudaErrorInvalidValue, cudaMemset(local, 0, 100));
  CHECK_ERROR(cudaErrorInvalidValue, cudaMemcpy(local, device, 10, cudaMemcpyHostToDevice));
  CHECK_ERROR(cudaErrorInvalidValue, cudaMemcpy(device, local, 10, cudaMemcpyDeviceToHost));
  CHECK_OK(cudaMemcpy(device, pinned, 50, cudaMemcpyHostToDevice));
  CHECK_OK(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyDeviceToDevice));

  cudaPointerAttributes attributes;
  CHECK_OK(cudaPointerGetAttributes(&attributes, device + 99));
  CHECK(attributes.type == cudaMemoryTypeDevice && attributes.device == 0 && attributes.devicePointer == device + 99);
  CHECK_OK(cudaPointerGetAttributes(&attributes, pinned));
  CHECK(attributes.type == cudaMemoryTypeHost && attributes.hostPointer == pinned);
  CHECK_OK(cudaPointerGetAttributes(&attributes, local));
  CHECK(attributes.type == cudaMemoryTypeUnregistered);

  CHECK_ERROR(cudaErrorInvalidValue, cudaFree(pinned));
  CHECK_ERROR(cudaErrorInvalidValue, cudaFree(local));
  CHECK_ERROR(cudaErrorInvalidValue, cudaFree(device + 1));
  CHECK_OK(cudaFree(device));
  CHECK_ERROR(cudaErrorInvalidValue, cudaFree(device));
  CHECK_OK(cudaFreeHost(pinned));
  CHECK_OK(cudaFree(nullptr));
  void *none = &bytes;
  CHECK_OK(cudaMalloc(&none, 0));
  CHECK(none == nullptr);
  CHECK_ERROR(cudaErrorMemoryAllocation, cudaMalloc(&none, SIZE_MAX));
  CHECK_OK(cudaMallocAsync(&none, 10, nullptr));
  CHECK_OK(cudaFreeAsync(none, nullptr));
  CHECK(simt_live_allocations(nullptr) == 0);
}

void check_launch_limits() {
  int *out = nullptr;
  cudaMalloc(&out, sizeof(int));
  SIMT_LAUNCH(nothing, 1, 1024, 0, nullptr);
  CHECK_OK(cudaGetLastError());
  SIMT_LAUNCH(nothing, 1, 1025, 0, nullptr);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  SIMT_LAUNCH(nothing, 1, dim3(32, 32, 2), 0, nullptr);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  SIMT_LAUNCH(nothing, 1, dim3(1, 1, 65), 0, nullptr);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  SIMT_LAUNCH(nothing, 0, 32, 0, nullptr);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  SIMT_LAUNCH(nothing, dim3(1, 65536), 32, 0, nullptr);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  SIMT_LAUNCH(use_dynamic, 1, 1, 48 * 1024, nullptr, out);
  CHECK_OK(cudaGetLastError());
  SIMT_LAUNCH(use_dynamic, 1, 1, 48 * 1024 + 1, nullptr, out);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(std::strstr(simt_last_message(), "kernel use_dynamic") != nullptr);
  CHECK_ERROR(cudaErrorInvalidValue,
              cudaFuncSetAttribute(use_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024 + 1));
  CHECK_OK(cudaFuncSetAttribute(use_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024));
  SIMT_LAUNCH(use_dynamic, 1, 1, 227 * 1024, nullptr, out);
  CHECK_OK(cudaGetLastError());
  cudaFuncAttributes attributes;
  CHECK_OK(cudaFuncGetAttributes(&attributes, use_dynamic));
  CHECK(attributes.maxDynamicSharedSizeBytes == 227 * 1024);
  int blocks = 0;
  CHECK_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, use_dynamic, 256, 0));
  CHECK(blocks == 8);
  CHECK_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, use_dynamic, 256, 100 * 1024));
  CHECK(blocks == 2);
  cudaFree(out);
}

void check_streams_and_events() {
  cudaStream_t stream = nullptr;
  CHECK_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_OK(cudaStreamQuery(stream));
  cudaEvent_t before = nullptr, after = nullptr, untimed = nullptr;
  CHECK_OK(cudaEventCreate(&before));
  CHECK_OK(cudaEventCreate(&after));
  CHECK_OK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
  float milliseconds = -1;
  CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, before, after));
  CHECK_OK(cudaEventRecord(before, stream));
  CHECK_OK(cudaEventRecord(after, stream));
  CHECK_OK(cudaEventRecord(untimed, stream));
  CHECK_OK(cudaEventSynchronize(after));
  CHECK_OK(cudaEventQuery(after));
  CHECK_OK(cudaEventElapsedTime(&milliseconds, before, after));
  CHECK(milliseconds >= 0);
  CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, before, untimed));
  CHECK_OK(cudaStreamWaitEvent(stream, after, 0));
  for (cudaEvent_t event : {before, after, untimed}) CHECK_OK(cudaEventDestroy(event));
  CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaEventRecord(after, stream));
  CHECK_OK(cudaStreamDestroy(stream));
  CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaStreamDestroy(stream));
  CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
  int called = 0;
  CHECK_OK(cudaLaunchHostFunc(nullptr, [](void *data) { ++*static_cast<int *>(data); }, &called));
  CHECK(called == 1);
}

// What needs the stream's device to be current, and what does not.
void check_two_devices() {
  cudaStream_t stream[2];
  cudaEvent_t event[2];
  char *memory[2];
  for (int d : {0, 1}) {
    CHECK_OK(cudaSetDevice(d));
    CHECK_OK(cudaStreamCreate(&stream[d]));
    CHECK_OK(cudaEventCreate(&event[d]));
    CHECK_OK(cudaMalloc(&memory[d], 8));
    int device = -1;
    cudaPointerAttributes attributes;
    CHECK_OK(cudaStreamGetDevice(stream[d], &device));
    CHECK_OK(cudaPointerGetAttributes(&attributes, memory[d]));
    CHECK(device == d && attributes.device == d);
  }
  for (int d : {0, 1}) {
    CHECK_OK(cudaSetDevice(d));
    SIMT_LAUNCH(nothing, 1, 32, 0, stream[d]);
    CHECK_OK(cudaGetLastError());
    SIMT_LAUNCH(nothing, 1, 32, 0, nullptr);
    CHECK_OK(cudaGetLastError());
    SIMT_LAUNCH(nothing, 1, 32, 0, stream[1 - d]);
    CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle);
    CHECK_OK(cudaMemcpyAsync(memory[1 - d], memory[d], 8, cudaMemcpyDefault, stream[1 - d]));
    CHECK_OK(cudaEventRecord(event[1 - d], stream[1 - d]));
    CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaEventRecord(event[d], stream[1 - d]));
    CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaEventRecord(event[1 - d], nullptr));
    CHECK_OK(cudaStreamWaitEvent(stream[d], event[1 - d], 0));
    CHECK_OK(cudaEventSynchronize(event[1 - d]));
  }
  float milliseconds;
  CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, event[0], event[1]));
  for (int d : {0, 1}) {
    CHECK_OK(cudaStreamDestroy(stream[d]));
    CHECK_OK(cudaEventDestroy(event[d]));
    CHECK_OK(cudaFree(memory[d]));
  }
  CHECK_OK(cudaSetDevice(0));
}

struct Buffers {
  Buffers() {
    cudaMalloc(&x, n * sizeof(float));
    cudaMalloc(&y, n * sizeof(float));
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&fork, cudaEventDisableTiming);
    cudaEventCreateWithFlags(&join, cudaEventDisableTiming);
  }
  ~Buffers() {
    cudaFree(x);
    cudaFree(y);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
    cudaEventDestroy(fork);
    cudaEventDestroy(join);
  }
  void set(float value) {
    const std::vector<float> values(n, value);
    cudaMemcpy(x, values.data(), n * sizeof(float), cudaMemcpyHostToDevice);
  }
  bool y_is(float value) {
    std::vector<float> values(n);
    cudaMemcpy(values.data(), y, n * sizeof(float), cudaMemcpyDeviceToHost);
    for (const float v : values) {
      if (v != value) return false;
    }
    return true;
  }
  static constexpr int n = 100;
  float *x, *y;
  cudaStream_t stream, other;
  cudaEvent_t fork, join;
};

// A kernel that no other test launches.
__global__ void only_captured(float *x) { x[threadIdx.x] = 7; }

// Kernels are loaded before they are captured, on each device.
void check_loading() {
  Buffers b;
  cudaGraph_t graph = nullptr;
  const auto capture = [&](cudaStreamCaptureMode mode) {
    CHECK_OK(cudaStreamBeginCapture(b.stream, mode));
    SIMT_LAUNCH(only_captured, 1, 32, 0, b.stream, b.x);
  };
  cudaFuncAttributes attributes;
  const void *kernel = reinterpret_cast<const void *>(only_captured);
  for (int times = 0; times < 2; ++times) {
    capture(cudaStreamCaptureModeThreadLocal);
    CHECK(cudaGetLastError() == cudaErrorStreamCaptureUnsupported);
    CHECK_ERROR(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(b.stream, &graph));
  }
  CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeThreadLocal));
  CHECK_ERROR(cudaErrorStreamCaptureUnsupported, cudaFuncGetAttributes(&attributes, kernel));
  CHECK_ERROR(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(b.stream, &graph));
  CHECK_OK(cudaFuncGetAttributes(&attributes, kernel));
  capture(cudaStreamCaptureModeGlobal);
  CHECK_OK(cudaGetLastError());
  CHECK_OK(cudaStreamEndCapture(b.stream, &graph));
  CHECK_OK(cudaGraphDestroy(graph));
  simt_unload_kernels();
  capture(cudaStreamCaptureModeRelaxed);  // as an allocation
  CHECK_OK(cudaGetLastError());
  CHECK_OK(cudaStreamEndCapture(b.stream, &graph));
  CHECK_OK(cudaGraphDestroy(graph));
  CHECK_OK(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void *>(scale)));  // is captured below
}

void check_graph() {
  Buffers b;
  b.set(1);
  cudaMemset(b.y, 0, Buffers::n * sizeof(float));
  CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeGlobal));
  cudaStreamCaptureStatus status;
  CHECK_OK(cudaStreamIsCapturing(b.stream, &status));
  CHECK(status == cudaStreamCaptureStatusActive);
  float factor = 3;  // captured by value
  SIMT_LAUNCH(scale, 4, 32, 0, b.stream, b.x, b.y, factor, Buffers::n);
  factor = 5;
  SIMT_LAUNCH(scale, 4, 32, 0, b.stream, b.y, b.y, 2.0f, Buffers::n);
  CHECK_OK(cudaMemcpyAsync(b.x, b.y, sizeof(float), cudaMemcpyDeviceToDevice, b.stream));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK_OK(cudaStreamEndCapture(b.stream, &graph));
  CHECK(b.y_is(0));  // nothing has run
  size_t nodes = 0;
  CHECK_OK(cudaGraphGetNodes(graph, nullptr, &nodes));
  CHECK(nodes == 3);
  CHECK_OK(cudaGraphInstantiate(&executable, graph, 0));
  CHECK_OK(cudaGraphDestroy(graph));
  CHECK_OK(cudaGraphLaunch(executable, b.stream));
  CHECK(b.y_is(6));
  b.set(2);  // read anew
  CHECK_OK(cudaGraphLaunch(executable, b.stream));
  CHECK(b.y_is(12));
  CHECK_OK(cudaGraphExecDestroy(executable));
  CHECK_ERROR(cudaErrorInvalidResourceHandle, cudaGraphLaunch(executable, b.stream));
}

// Another stream joins by an event, and is joined again.
void check_fork_and_join() {
  for (const bool joins : {true, false}) {
    Buffers b;
    b.set(1);
    CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeThreadLocal));
    CHECK_OK(cudaEventRecord(b.fork, b.stream));
    CHECK_OK(cudaStreamWaitEvent(b.other, b.fork, 0));
    SIMT_LAUNCH(scale, 4, 32, 0, b.other, b.x, b.y, 4.0f, Buffers::n);
    CHECK_OK(cudaGetLastError());
    CHECK_OK(cudaEventRecord(b.join, b.other));
    CHECK_ERROR(cudaErrorCapturedEvent, cudaEventQuery(b.join));
    if (joins) CHECK_OK(cudaStreamWaitEvent(b.stream, b.join, 0));
    cudaGraph_t graph = nullptr;
    if (!joins) {
      CHECK_ERROR(cudaErrorStreamCaptureUnjoined, cudaStreamEndCapture(b.stream, &graph));
      continue;
    }
    CHECK_OK(cudaStreamEndCapture(b.stream, &graph));
    cudaGraphExec_t executable = nullptr;
    CHECK_OK(cudaGraphInstantiate(&executable, graph, 0));
    CHECK_OK(cudaGraphLaunch(executable, b.stream));
    CHECK(b.y_is(4));
    CHECK_OK(cudaGraphExecDestroy(executable));
    CHECK_OK(cudaGraphDestroy(graph));
  }
}

void check_forbidden_in_capture() {
  Buffers b;
  cudaGraph_t graph = nullptr;
  void *memory = nullptr;
  const auto ends_invalid = [&] {
    CHECK_ERROR(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(b.stream, &graph));
    CHECK(graph == nullptr);
  };
  CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeGlobal));
  CHECK_ERROR(cudaErrorIllegalState, cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeGlobal));
  CHECK_ERROR(cudaErrorStreamCaptureUnsupported, cudaMalloc(&memory, 8));
  ends_invalid();
  CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeGlobal));
  CHECK_ERROR(cudaErrorStreamCaptureUnsupported, cudaStreamSynchronize(b.stream));
  ends_invalid();
  CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeGlobal));
  CHECK_OK(cudaEventRecord(b.fork, b.other));
  CHECK_ERROR(cudaErrorStreamCaptureIsolation, cudaStreamWaitEvent(b.stream, b.fork, 0));
  ends_invalid();
  CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeRelaxed));
  CHECK_OK(cudaMalloc(&memory, 8));  // relaxed: allowed
  CHECK_OK(cudaFree(memory));
  CHECK_OK(cudaStreamEndCapture(b.stream, &graph));
  CHECK_OK(cudaGraphDestroy(graph));
  CHECK_OK(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeThreadLocal));
  std::thread([&] {
    CHECK_OK(cudaMalloc(&memory, 8));  // another thread's business
    CHECK_OK(cudaFree(memory));
    CHECK_ERROR(cudaErrorStreamCaptureWrongThread, cudaStreamEndCapture(b.stream, &graph));
  }).join();
  CHECK_OK(cudaStreamEndCapture(b.stream, &graph));
  CHECK_OK(cudaGraphDestroy(graph));
  CHECK_ERROR(cudaErrorStreamCaptureUnsupported, cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal));
}

}  // namespace

// In a process of its own, run with the argument "none".
int check_no_device() {
  setenv("SIMT_DEVICES", "0", 1);
  int count = 7;
  void *memory = nullptr;
  CHECK_ERROR(cudaErrorNoDevice, cudaGetDeviceCount(&count));
  CHECK_ERROR(cudaErrorNoDevice, cudaMalloc(&memory, 8));
  CHECK_ERROR(cudaErrorNoDevice, cudaSetDevice(0));
  CHECK(count == 7 && memory == nullptr);
  return report_checks();
}

int main(int argc, char **) {
  if (argc > 1) return check_no_device();
  setenv("SIMT_DEVICES", std::to_string(kDevices).c_str(), 1);
  setenv("SIMT_UNAVAILABLE", std::to_string(kUnavailable).c_str(), 1);
  check_contexts();
  check_device();
  check_memory();
  check_launch_limits();
  check_streams_and_events();
  check_two_devices();
  check_loading();
  check_graph();
  check_fork_and_join();
  check_forbidden_in_capture();
  CHECK(simt_live_allocations(nullptr) == 0);
  return report_checks();
}
