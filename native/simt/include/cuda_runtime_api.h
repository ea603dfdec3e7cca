// CUDA 13's runtime API, as far as the SIMT host has it: C symbols with CUDA's signatures. Work is done when it is
// enqueued, or recorded if its stream is capturing; every function may be called from any thread.
#pragma once
#include "driver_types.h"
#include "simt/thread.h"

#define CUDART_VERSION 13000
#define CUDART_CB

extern "C" {

SIMT_API cudaError_t cudaGetLastError(void);
SIMT_API cudaError_t cudaPeekAtLastError(void);
SIMT_API const char *cudaGetErrorName(cudaError_t error);
SIMT_API const char *cudaGetErrorString(cudaError_t error);
SIMT_API cudaError_t cudaRuntimeGetVersion(int *version);
SIMT_API cudaError_t cudaDriverGetVersion(int *version);

SIMT_API cudaError_t cudaGetDeviceCount(int *count);
SIMT_API cudaError_t cudaGetDevice(int *device);
SIMT_API cudaError_t cudaSetDevice(int device);
SIMT_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
SIMT_API cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
SIMT_API cudaError_t cudaDeviceSynchronize(void);
SIMT_API cudaError_t cudaDeviceReset(void);
SIMT_API cudaError_t cudaSetDeviceFlags(unsigned int flags);
SIMT_API cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest);
SIMT_API cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned int version,
                                                      unsigned long long flags,
                                                      cudaDriverEntryPointQueryResult *result = nullptr);

SIMT_API cudaError_t cudaMalloc(void **pointer, size_t bytes);
SIMT_API cudaError_t cudaFree(void *pointer);
SIMT_API cudaError_t cudaMallocAsync(void **pointer, size_t bytes, cudaStream_t stream);
SIMT_API cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream);
SIMT_API cudaError_t cudaMallocHost(void **pointer, size_t bytes);
SIMT_API cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned int flags);
SIMT_API cudaError_t cudaFreeHost(void *pointer);
SIMT_API cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
SIMT_API cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer);
SIMT_API cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
SIMT_API cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                                     cudaStream_t stream = nullptr);
SIMT_API cudaError_t cudaMemset(void *pointer, int value, size_t bytes);
SIMT_API cudaError_t cudaMemsetAsync(void *pointer, int value, size_t bytes, cudaStream_t stream = nullptr);

SIMT_API cudaError_t cudaStreamCreate(cudaStream_t *stream);
SIMT_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags);
SIMT_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority);
SIMT_API cudaError_t cudaStreamDestroy(cudaStream_t stream);
SIMT_API cudaError_t cudaStreamSynchronize(cudaStream_t stream);
SIMT_API cudaError_t cudaStreamQuery(cudaStream_t stream);
SIMT_API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags = 0);
SIMT_API cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned int *flags);
SIMT_API cudaError_t cudaStreamGetPriority(cudaStream_t stream, int *priority);
SIMT_API cudaError_t cudaStreamGetDevice(cudaStream_t stream, int *device);
SIMT_API cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *user_data);

SIMT_API cudaError_t cudaEventCreate(cudaEvent_t *event);
SIMT_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags);
SIMT_API cudaError_t cudaEventDestroy(cudaEvent_t event);
SIMT_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
SIMT_API cudaError_t cudaEventSynchronize(cudaEvent_t event);
SIMT_API cudaError_t cudaEventQuery(cudaEvent_t event);
SIMT_API cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end);

SIMT_API cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
SIMT_API cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
SIMT_API cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status);
SIMT_API cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode);
SIMT_API cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned int flags);
SIMT_API cudaError_t cudaGraphDestroy(cudaGraph_t graph);
SIMT_API cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count);
SIMT_API cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags = 0);
SIMT_API cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *executable, cudaGraph_t graph,
                                                   unsigned long long flags = 0);
SIMT_API cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream);
SIMT_API cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
SIMT_API cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

SIMT_API cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *kernel);
SIMT_API cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value);
SIMT_API cudaError_t cudaFuncSetCacheConfig(const void *kernel, cudaFuncCache config);
SIMT_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel, int block_size,
                                                                   size_t dynamic_shared_bytes);
SIMT_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *kernel,
                                                                            int block_size, size_t dynamic_shared_bytes,
                                                                            unsigned int flags);

}  // extern "C"
