// cuBLAS's products against sums in float64 over the definition: C = alpha op(A) op(B) + beta C, column-major.
#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <random>
#include <vector>

#include "check.h"

namespace {

struct Matrices {
  int m, n, k, count;
  bool transa, transb;
  cudaDataType ab_type, c_type;
};

// Values and the bytes that hold them.
struct Stored {
  Stored(cudaDataType type_, size_t n, std::mt19937 &random) : type(type_), values(n), words(n), floats(n) {
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < n; ++i) set(i, normal(random));
  }
  void set(size_t i, float x) {
    floats[i] = x;
    if (type == CUDA_R_16F) words[i] = __half_as_ushort(__float2half(x));
    if (type == CUDA_R_16BF) words[i] = __bfloat16_as_ushort(__float2bfloat16(x));
    values[i] = value(i);
  }
  float value(size_t i) const {
    if (type == CUDA_R_16F) return __half2float(__ushort_as_half(words[i]));
    if (type == CUDA_R_16BF) return __bfloat162float(__ushort_as_bfloat16(words[i]));
    return floats[i];
  }
  size_t bytes() const { return values.size() * (type == CUDA_R_32F ? 4 : 2); }
  void *data() { return type == CUDA_R_32F ? static_cast<void *>(floats.data()) : static_cast<void *>(words.data()); }
  void *to_device() {
    void *memory = nullptr;
    cudaMalloc(&memory, bytes());
    cudaMemcpy(memory, data(), bytes(), cudaMemcpyHostToDevice);
    return memory;
  }
  cudaDataType type;
  std::vector<float> values;
  std::vector<unsigned short> words;
  std::vector<float> floats;
};

enum class Call { plain, batched, captured, device_scalars };

void check_product(cublasHandle_t handle, const Matrices &s, float alpha, float beta, Call call, std::mt19937 &random) {
  const int lda = (s.transa ? s.k : s.m) + 3, ldb = (s.transb ? s.n : s.k) + 1, ldc = s.m + 2;
  const long long stride_a = lda * (s.transa ? s.m : s.k) + 5, stride_b = ldb * (s.transb ? s.k : s.n);
  const long long stride_c = ldc * s.n;
  Stored a(s.ab_type, static_cast<size_t>(stride_a * s.count), random);
  Stored b(s.ab_type, static_cast<size_t>(stride_b * s.count), random);
  Stored c(s.c_type, static_cast<size_t>(stride_c * s.count), random);
  if (beta == 0) {
    for (size_t i = 0; i < c.values.size(); ++i) c.set(i, NAN);  // not read
  }
  const std::vector<float> before = c.values;
  void *da = a.to_device(), *db = b.to_device(), *dc = c.to_device();
  const cublasOperation_t opa = s.transa ? CUBLAS_OP_T : CUBLAS_OP_N, opb = s.transb ? CUBLAS_OP_T : CUBLAS_OP_N;
  float *scalars = nullptr;
  cudaStream_t stream = nullptr;
  const float host_scalars[2] = {alpha, beta};
  const float *alpha_at = &host_scalars[0], *beta_at = &host_scalars[1];
  if (call == Call::device_scalars) {
    cudaMalloc(reinterpret_cast<void **>(&scalars), sizeof host_scalars);
    cudaMemcpy(scalars, host_scalars, sizeof host_scalars, cudaMemcpyHostToDevice);
    alpha_at = scalars;
    beta_at = scalars + 1;
    cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE);
  }
  if (call == Call::captured) {
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    CHECK(cublasSetStream(handle, stream) == CUBLAS_STATUS_SUCCESS);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  }
  if (s.count == 1) {
    CHECK(cublasGemmEx(handle, opa, opb, s.m, s.n, s.k, alpha_at, da, s.ab_type, lda, db, s.ab_type, ldb, beta_at, dc,
                       s.c_type, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
  } else {
    CHECK(cublasGemmStridedBatchedEx(handle, opa, opb, s.m, s.n, s.k, alpha_at, da, s.ab_type, lda, stride_a, db,
                                     s.ab_type, ldb, stride_b, beta_at, dc, s.c_type, ldc, stride_c, s.count,
                                     CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
  }
  if (call == Call::captured) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
    CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cublasSetStream(handle, nullptr);
    cudaStreamDestroy(stream);
  }
  cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST);
  cudaMemcpy(c.data(), dc, c.bytes(), cudaMemcpyDeviceToHost);

  // Roundings of sums and products in float32, 2^-24 of what they add, then one to C's type.
  const double unit = s.c_type == CUDA_R_16BF ? 0x1p-8 : s.c_type == CUDA_R_16F ? 0x1p-11 : 0;
  const double subnormal = s.c_type == CUDA_R_16F ? 0x1p-25 : 0;
  for (int matrix = 0; matrix < s.count; ++matrix) {
    for (int j = 0; j < s.n; ++j) {
      for (int i = 0; i < ldc; ++i) {
        const size_t at = static_cast<size_t>(matrix * stride_c + j * ldc + i);
        const float got = c.value(at);
        if (i >= s.m) {  // below the matrix: untouched
          CHECK(got == before[at] || (std::isnan(got) && std::isnan(before[at])));
          continue;
        }
        double sum = 0, size = 0;
        for (int p = 0; p < s.k; ++p) {
          const double x = a.values[static_cast<size_t>(matrix * stride_a + (s.transa ? p + i * lda : i + p * lda))];
          const double y = b.values[static_cast<size_t>(matrix * stride_b + (s.transb ? j + p * ldb : p + j * ldb))];
          sum += x * y;
          size += std::fabs(x * y);
        }
        const double old = beta == 0 ? 0 : beta * static_cast<double>(before[at]);
        const double expected = alpha * sum + old;
        const double in_float = (s.k + 3) * 0x1p-24 * (std::fabs(alpha) * size + std::fabs(old));
        const double bound = in_float + unit * (std::fabs(expected) + in_float) + subnormal;
        CHECK(std::fabs(static_cast<double>(got) - expected) <= bound);
      }
    }
  }
  for (void *memory : {da, db, dc, static_cast<void *>(scalars)}) cudaFree(memory);
}

}  // namespace

int main() {
  std::mt19937 random(3);
  cublasHandle_t handle = nullptr;
  CHECK(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS);
  const cudaDataType types[][2] = {{CUDA_R_32F, CUDA_R_32F},
                                   {CUDA_R_16BF, CUDA_R_16BF},
                                   {CUDA_R_16BF, CUDA_R_32F},
                                   {CUDA_R_16F, CUDA_R_16F},
                                   {CUDA_R_16F, CUDA_R_32F}};
  for (const auto &type : types) {
    for (const int transposes : {0, 1, 2, 3}) {
      const bool transa = transposes & 1, transb = transposes & 2;
      check_product(handle, {7, 5, 11, 1, transa, transb, type[0], type[1]}, 1, 0, Call::plain, random);
      check_product(handle, {300, 4, 9, 1, transa, transb, type[0], type[1]}, -0.5f, 2, Call::captured, random);
      check_product(handle, {6, 3, 8, 3, transa, transb, type[0], type[1]}, 1.5f, 1, Call::batched, random);
      check_product(handle, {1, 1, 1, 1, transa, transb, type[0], type[1]}, 2, 0, Call::device_scalars, random);
      check_product(handle, {3, 2, 0, 1, transa, transb, type[0], type[1]}, 1, 0.5f, Call::plain, random);
    }
  }

  // Arguments that the original refuses, and memory that is too small.
  float *memory = nullptr;
  cudaMalloc(reinterpret_cast<void **>(&memory), 12 * sizeof(float));
  cudaMemset(memory, 0, 12 * sizeof(float));
  const float one = 1;
  const auto sgemm = [&](cublasHandle_t with, int m, int n, int k, int lda, int ldb, int ldc, float *c) {
    return cublasSgemm(with, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, memory, lda, memory, ldb, &one, c, ldc);
  };
  CHECK(sgemm(handle, 2, 2, 2, 2, 2, 2, memory) == CUBLAS_STATUS_SUCCESS);
  CHECK(sgemm(nullptr, 2, 2, 2, 2, 2, 2, memory) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(sgemm(handle, -1, 2, 2, 2, 2, 2, memory) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(sgemm(handle, 2, 2, 2, 1, 2, 2, memory) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(sgemm(handle, 2, 2, 2, 2, 2, 1, memory) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(sgemm(handle, 2, 2, 2, 2, 2, 2, memory + 9) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(sgemm(handle, 2, 2, 2, 11, 2, 2, memory) == CUBLAS_STATUS_EXECUTION_FAILED);
  float host[4] = {};
  CHECK(sgemm(handle, 2, 2, 2, 2, 2, 2, host) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(cublasSgemm(handle, static_cast<cublasOperation_t>(3), CUBLAS_OP_N, 1, 1, 1, &one, memory, 1, memory, 1, &one,
                    memory, 1) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE) == CUBLAS_STATUS_SUCCESS);
  CHECK(sgemm(handle, 2, 2, 2, 2, 2, 2, memory) == CUBLAS_STATUS_EXECUTION_FAILED);  // alpha lies in host memory
  CHECK(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST) == CUBLAS_STATUS_SUCCESS);
  const auto gemm_ex = [&](cudaDataType a_type, cudaDataType b_type, cublasComputeType_t compute) {
    return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, memory, a_type, 1, memory, b_type, 1, &one,
                        memory, CUDA_R_32F, 1, compute, CUBLAS_GEMM_DEFAULT);
  };
  CHECK(gemm_ex(CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F) == CUBLAS_STATUS_SUCCESS);
  CHECK(gemm_ex(CUDA_R_32F, CUDA_R_16F, CUBLAS_COMPUTE_32F) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(gemm_ex(CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_16F) == CUBLAS_STATUS_NOT_SUPPORTED);
  cudaFree(memory);
  CHECK(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS);
  return report_checks();
}
