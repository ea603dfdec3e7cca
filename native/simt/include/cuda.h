// CUDA 13's driver API, as far as the SIMT host has it: contexts, which say what device a host thread uses. A program
// gets these functions by cudaGetDriverEntryPointByVersion alone; what is declared here serves for their types.
#pragma once
#include "driver_types.h"

enum CUresult {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_DEVICE_UNAVAILABLE = 46,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_CONTEXT = 201
};
enum CUpointer_attribute { CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9 };

typedef int CUdevice;
typedef struct CUctx_st *CUcontext;

extern "C" {

CUresult cuCtxGetCurrent(CUcontext *context);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuCtxPushCurrent(CUcontext context);
CUresult cuCtxPopCurrent(CUcontext *context);
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active);
CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, unsigned long long pointer);

}  // extern "C"
