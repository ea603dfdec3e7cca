// Conversion between dtypes: n elements read and n written, and nothing else, so that the floor is their bytes over the
// memory's bandwidth.
//
// Launch: 256 threads; a thread has 4 vectors of 4 elements, each vector beside that of the next lane, in flight. Where
// an address is no multiple of 4 elements' bytes, 4 single elements. Equal dtypes are a copy.
#include <type_traits>

#include "runtime/convert.cuh"
#include "runtime/convert.h"

namespace vbl {
namespace cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kVectors = 4;  // of a thread

template <typename From, typename To, int V>
__global__ void __launch_bounds__(kThreads) convert_elements(int64_t n, const From *source, To *destination) {
  constexpr int64_t kStride = kThreads * V;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * (kStride * kVectors) + threadIdx.x * V;
  float v[kVectors][V];
#pragma unroll
  for (int i = 0; i < kVectors; ++i)
    if (first + i * kStride + V <= n) load(source + first + i * kStride, v[i]);
#pragma unroll
  for (int i = 0; i < kVectors; ++i)
    if (first + i * kStride + V <= n) store(destination + first + i * kStride, v[i]);
  const int64_t rest = n / V * V + threadIdx.x;  // what fills no vector
  if (blockIdx.x == 0 && rest < n) {
    float one[1];
    load(source + rest, one);
    store(destination + rest, one);
  }
}

template <typename From, typename To>
void launch(cudaStream_t stream, int64_t n, const void *source, void *destination) {
  const From *from = static_cast<const From *>(source);
  To *to = static_cast<To *>(destination);
  const bool vectors = aligned(source, 4 * sizeof(From)) && aligned(destination, 4 * sizeof(To));
  const int64_t per_block = kThreads * kVectors * (vectors ? 4 : 1);
  const unsigned blocks = static_cast<unsigned>((n + per_block - 1) / per_block);
  if (vectors)
    VBL_LAUNCH((convert_elements<From, To, 4>), blocks, kThreads, 0, stream, n, from, to);
  else
    VBL_LAUNCH((convert_elements<From, To, 1>), blocks, kThreads, 0, stream, n, from, to);
}

}  // namespace

vbl_status convert(vbl_stream *stream, int64_t n, const void *source, int32_t source_dtype, void *destination,
                   int32_t destination_dtype) {
  if (source_dtype == destination_dtype) return copy(stream, destination, source, n * dtype_bytes(source_dtype));
  VBL_CUDA_OP("vbl_convert", stream);
  with_dtype(source_dtype, [&](auto *from) {
    with_dtype(destination_dtype, [&](auto *to) {
      using From = std::remove_pointer_t<decltype(from)>;
      using To = std::remove_pointer_t<decltype(to)>;
      if constexpr (!std::is_same_v<From, To>) launch<From, To>(handle(stream), n, source, destination);
    });
  });
  return launched("vbl_convert");
}

}  // namespace cuda
}  // namespace vbl
