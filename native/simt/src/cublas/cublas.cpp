#include <cstdio>
#include <new>
#include <string>

#include "cublas_v2.h"
#include "gemm.h"
#include "simt/library.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
  cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;
};

namespace {

constexpr int kVersion = 130000;

const struct {
  cublasStatus_t code;
  const char *name, *text;
} kStatuses[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "no handle"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "out of memory"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE", "an argument has an invalid value"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH", "the device lacks a feature"},
    {CUBLAS_STATUS_MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR", "memory cannot be reached"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the work failed"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "internal error"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "not supported"},
    {CUBLAS_STATUS_LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "no license"},
};

cublasStatus_t refuse(cublasStatus_t status, const char *function, const std::string &why) {
  std::fprintf(stderr, "simt: %s: %s\n", function, why.c_str());
  return status;
}

bool supported(cublasComputeType_t compute) {
  return compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
         compute == CUBLAS_COMPUTE_32F_FAST_16F || compute == CUBLAS_COMPUTE_32F_FAST_16BF ||
         compute == CUBLAS_COMPUTE_32F_FAST_TF32;
}

// float32 everywhere, or a 16-bit type for A and B and that type or float32 for C.
bool supported(cudaDataType a, cudaDataType b, cudaDataType c) {
  if (a != b) return false;
  if (a == CUDA_R_32F) return c == CUDA_R_32F;
  return (a == CUDA_R_16F || a == CUDA_R_16BF) && (c == a || c == CUDA_R_32F);
}

// Whether a rows x columns matrix, as stored, and those after it lie in device memory.
bool in_device_memory(const std::string &function, const char *name, const simt::Gemm::Operand &x, int64_t rows,
                      int64_t columns, int64_t count) {
  if (rows == 0 || columns == 0 || count == 0) return true;
  const int64_t elements = (count - 1) * x.stride + (columns - 1) * x.ld + rows;
  const std::string what = function + ": matrix " + name;
  return simt::check_device_memory(what.c_str(), x.data, static_cast<size_t>(elements * simt::size_of(x.type))) ==
         cudaSuccess;
}

bool known(cublasOperation_t operation) {
  return operation == CUBLAS_OP_N || operation == CUBLAS_OP_T || operation == CUBLAS_OP_C;
}

cublasStatus_t enqueue(const char *function, cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                       simt::Gemm gemm, const void *alpha, const void *beta) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!known(transa) || !known(transb)) return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "an unknown operation");
  gemm.a.transposed = transa != CUBLAS_OP_N;  // numbers are real: C is T
  gemm.b.transposed = transb != CUBLAS_OP_N;
  if (gemm.m < 0 || gemm.n < 0 || gemm.k < 0 || gemm.count < 0) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "a negative size");
  }
  const int64_t a_rows = gemm.a.transposed ? gemm.k : gemm.m, b_rows = gemm.b.transposed ? gemm.n : gemm.k;
  const struct {
    const char *name;
    const simt::Gemm::Operand &operand;
    int64_t rows, columns;
  } matrices[] = {{"A", gemm.a, a_rows, gemm.a.transposed ? gemm.m : gemm.k},
                  {"B", gemm.b, b_rows, gemm.b.transposed ? gemm.k : gemm.n},
                  {"C", gemm.c, gemm.m, gemm.n}};
  for (const auto &[name, operand, rows, columns] : matrices) {
    if (operand.ld < 1 || operand.ld < rows) {
      return refuse(CUBLAS_STATUS_INVALID_VALUE, function,
                    "matrix " + std::string(name) + " has " + std::to_string(rows) + " rows, but leading dimension " +
                        std::to_string(operand.ld));
    }
  }
  if (!supported(gemm.a.type, gemm.b.type, gemm.c.type)) {
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, function,
                  "types " + std::to_string(gemm.a.type) + ", " + std::to_string(gemm.b.type) + ", " +
                      std::to_string(gemm.c.type) + " of A, B, C");
  }
  if (gemm.m == 0 || gemm.n == 0 || gemm.count == 0) return CUBLAS_STATUS_SUCCESS;
  if (alpha == nullptr || beta == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "no alpha or beta");
  const bool scalars_on_device = handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE;
  if (scalars_on_device) {
    for (const void *scalar : {alpha, beta}) {
      const std::string what = std::string(function) + (scalar == alpha ? ": alpha" : ": beta");
      if (simt::check_device_memory(what.c_str(), scalar, sizeof(float)) != cudaSuccess) {
        return CUBLAS_STATUS_EXECUTION_FAILED;
      }
    }
  }
  for (const auto &[name, operand, rows, columns] : matrices) {
    if (!in_device_memory(function, name, operand, rows, columns, gemm.count)) return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  const auto *alpha_at = static_cast<const float *>(alpha), *beta_at = static_cast<const float *>(beta);
  cudaError_t error;
  if (scalars_on_device) {
    error = simt::enqueue_library_work(handle->stream, [=] { simt::run_gemm(gemm, *alpha_at, *beta_at); });
  } else {
    const float alpha_now = *alpha_at, beta_now = *beta_at;
    error = simt::enqueue_library_work(handle->stream, [=] { simt::run_gemm(gemm, alpha_now, beta_now); });
  }
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t *handle) {
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *handle = new (std::nothrow) cublasContext;
  return *handle == nullptr ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion(cublasHandle_t, int *version) {
  if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *version = kVersion;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t *stream) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

// Products need none here; what is given must be device memory nevertheless.
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (simt::check_device_memory("cublasSetWorkspace", workspace, bytes) != cudaSuccess) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->pointer_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t *mode) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  *mode = handle->pointer_mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->math_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  *mode = handle->math_mode;
  return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusName(cublasStatus_t status) {
  for (const auto &known : kStatuses) {
    if (known.code == status) return known.name;
  }
  return "unknown status";
}

const char *cublasGetStatusString(cublasStatus_t status) {
  for (const auto &known : kStatuses) {
    if (known.code == status) return known.text;
  }
  return "unknown status";
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                           int k, const float *alpha, const float *a, int lda, const float *b, int ldb,
                           const float *beta, float *c, int ldc) {
  return enqueue("cublasSgemm", handle, transa, transb,
                 {m, n, k, 1, {a, CUDA_R_32F, lda, 0}, {b, CUDA_R_32F, ldb, 0}, {c, CUDA_R_32F, ldc, 0}}, alpha, beta);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                         int m, int n, int k, const float *alpha, const float *a, int lda,
                                         long long stride_a, const float *b, int ldb, long long stride_b,
                                         const float *beta, float *c, int ldc, long long stride_c, int count) {
  return enqueue(
      "cublasSgemmStridedBatched", handle, transa, transb,
      {m, n, k, count, {a, CUDA_R_32F, lda, stride_a}, {b, CUDA_R_32F, ldb, stride_b}, {c, CUDA_R_32F, ldc, stride_c}},
      alpha, beta);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                            int k, const void *alpha, const void *a, cudaDataType a_type, int lda, const void *b,
                            cudaDataType b_type, int ldb, const void *beta, void *c, cudaDataType c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (!supported(compute)) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "cublasGemmEx", "this compute type");
  return enqueue("cublasGemmEx", handle, transa, transb,
                 {m, n, k, 1, {a, a_type, lda, 0}, {b, b_type, ldb, 0}, {c, c_type, ldc, 0}}, alpha, beta);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                          int m, int n, int k, const void *alpha, const void *a, cudaDataType a_type,
                                          int lda, long long stride_a, const void *b, cudaDataType b_type, int ldb,
                                          long long stride_b, const void *beta, void *c, cudaDataType c_type, int ldc,
                                          long long stride_c, int count, cublasComputeType_t compute,
                                          cublasGemmAlgo_t) {
  if (!supported(compute)) {
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "cublasGemmStridedBatchedEx", "this compute type");
  }
  return enqueue("cublasGemmStridedBatchedEx", handle, transa, transb,
                 {m, n, k, count, {a, a_type, lda, stride_a}, {b, b_type, ldb, stride_b}, {c, c_type, ldc, stride_c}},
                 alpha, beta);
}
