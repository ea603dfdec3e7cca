// Inline functions that the CPU and CUDA share.
#pragma once

#if defined(__CUDACC__)
#define VBL_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define VBL_HOST_DEVICE inline __attribute__((always_inline))
#endif
