// cuBLAS 13, as far as the SIMT host has it: matrix products in float32, bfloat16 and float16, accumulated in float32.
// Matrices are column-major and in device memory. Work is done when it is enqueued, or recorded if the handle's stream
// is capturing. A handle may be used by one thread at a time.
#pragma once
#include "cuda_runtime_api.h"
#include "library_types.h"

typedef struct cublasContext *cublasHandle_t;

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_ARCH_MISMATCH = 8,
  CUBLAS_STATUS_MAPPING_ERROR = 11,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_INTERNAL_ERROR = 14,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
  CUBLAS_STATUS_LICENSE_ERROR = 16
};

enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUBLAS_OP_C = 2 };
enum cublasPointerMode_t { CUBLAS_POINTER_MODE_HOST = 0, CUBLAS_POINTER_MODE_DEVICE = 1 };
enum cublasMath_t {
  CUBLAS_DEFAULT_MATH = 0,
  CUBLAS_TENSOR_OP_MATH = 1,
  CUBLAS_PEDANTIC_MATH = 2,
  CUBLAS_TF32_TENSOR_OP_MATH = 3,
  CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16
};
enum cublasComputeType_t {
  CUBLAS_COMPUTE_16F = 64,
  CUBLAS_COMPUTE_16F_PEDANTIC = 65,
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_32F_PEDANTIC = 69,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_32F_FAST_16F = 74,
  CUBLAS_COMPUTE_32F_FAST_16BF = 75,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77
};
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1, CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99 };

#define cublasCreate cublasCreate_v2
#define cublasDestroy cublasDestroy_v2
#define cublasGetVersion cublasGetVersion_v2
#define cublasSetStream cublasSetStream_v2
#define cublasGetStream cublasGetStream_v2
#define cublasSetWorkspace cublasSetWorkspace_v2
#define cublasSetPointerMode cublasSetPointerMode_v2
#define cublasGetPointerMode cublasGetPointerMode_v2
#define cublasSgemm cublasSgemm_v2

extern "C" {

SIMT_API cublasStatus_t cublasCreate(cublasHandle_t *handle);
SIMT_API cublasStatus_t cublasDestroy(cublasHandle_t handle);
SIMT_API cublasStatus_t cublasGetVersion(cublasHandle_t handle, int *version);
SIMT_API cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
SIMT_API cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t *stream);
SIMT_API cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes);
SIMT_API cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode);
SIMT_API cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t *mode);
SIMT_API cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
SIMT_API cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode);
SIMT_API const char *cublasGetStatusName(cublasStatus_t status);
SIMT_API const char *cublasGetStatusString(cublasStatus_t status);

SIMT_API cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                                    int n, int k, const float *alpha, const float *a, int lda, const float *b, int ldb,
                                    const float *beta, float *c, int ldc);
SIMT_API cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                                  cublasOperation_t transb, int m, int n, int k, const float *alpha,
                                                  const float *a, int lda, long long stride_a, const float *b, int ldb,
                                                  long long stride_b, const float *beta, float *c, int ldc,
                                                  long long stride_c, int count);
SIMT_API cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                                     int n, int k, const void *alpha, const void *a, cudaDataType a_type, int lda,
                                     const void *b, cudaDataType b_type, int ldb, const void *beta, void *c,
                                     cudaDataType c_type, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algo);
SIMT_API cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                                   cublasOperation_t transb, int m, int n, int k, const void *alpha,
                                                   const void *a, cudaDataType a_type, int lda, long long stride_a,
                                                   const void *b, cudaDataType b_type, int ldb, long long stride_b,
                                                   const void *beta, void *c, cudaDataType c_type, int ldc,
                                                   long long stride_c, int count, cublasComputeType_t compute,
                                                   cublasGemmAlgo_t algo);

}  // extern "C"
