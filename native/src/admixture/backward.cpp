// The gradient of the bank must not depend on the number of threads, and must stay fast when all rows pick the same bank
// vector. The uses (row, j) are sorted by bank vector, stably, and the sorted list is cut into chunks of equal length,
// whatever vectors they belong to. A vector whose uses lie within one chunk is summed in one go; one that spans chunks
// has a partial sum in each, added up in order afterwards.
#include "admixture/backward.h"

#include "admixture/admixture.h"
#include "admixture/backward.simd.h"
#include "runtime/scratch.h"

namespace vbl {
namespace {

constexpr int64_t kChunk = 256;    // uses per chunk
constexpr int64_t kColumns = 256;  // columns summed at a time

struct Buffers {
  int64_t pieces;    // of the rows, for sorting
  int64_t chunks;    // of the sorted uses
  double *g;         // [threads, topk] <du, bank[s]>
  int64_t *next;     // [pieces, num_vectors] uses of each vector; then where the piece's next use of it goes
  int64_t *first;    // [num_vectors + 1] each vector's first use
  BankUse *uses;     // [rows · topk] by vector, within it by row
  double *leading;   // [chunks, vector_length] partial sum of the vector that began in an earlier chunk
  double *trailing;  // [chunks, vector_length] partial sum of the vector that goes on in the next chunk
};

Buffers lay_out(Scratch &scratch, int32_t threads, const vbl_admixture &a) {
  const int64_t uses = a.rows * a.topk;
  Buffers b;
  b.pieces = uses / (4 * a.num_vectors + 16384) + 1;
  if (b.pieces > 64) b.pieces = 64;
  b.chunks = (uses + kChunk - 1) / kChunk;
  b.g = scratch.take<double>(threads, a.topk);
  b.next = scratch.take<int64_t>(b.pieces, a.num_vectors);
  b.first = scratch.take<int64_t>(a.num_vectors + 1);
  b.uses = scratch.take<BankUse>(uses);
  // A vector spans chunks only if there are several.
  const bool partial = b.chunks > 1;
  b.leading = scratch.take<double>(partial ? b.chunks : 0, a.vector_length);
  b.trailing = scratch.take<double>(partial ? b.chunks : 0, a.vector_length);
  return b;
}

int64_t slot_of(const vbl_admixture &a, int64_t row) { return a.slots != nullptr ? a.slots[row] : row; }

void logits_gradient(vbl_stream *stream, const vbl_admixture &a, const Buffers &b, const float *bank,
                     const int32_t *indices, const float *weights, const float *dpacked, float *dlogits) {
  const int64_t length = a.vector_length;
  const int32_t topk = a.topk;
  const auto dots = VBL_SIMD(dots);
  parallel_for(stream, a.rows, rows_per_task(length * topk), [&](int64_t begin, int64_t end, int32_t worker) {
    double *g = b.g + worker * topk;
    for (int64_t row = begin; row < end; ++row) {
      const float *du = dpacked + slot_of(a, row) * length, *weight = weights + row * topk;
      dots(length, du, topk, indices + row * topk, bank, g);
      double mean = 0;
      for (int32_t j = 0; j < topk; ++j) mean += weight[j] * g[j];
      for (int32_t j = 0; j < topk; ++j) dlogits[row * topk + j] = static_cast<float>(weight[j] * (g[j] - mean));
    }
  });
}

// A counting sort: every piece of the rows counts its uses of each vector, then puts them where they belong.
void sort_uses(vbl_stream *stream, const vbl_admixture &a, const Buffers &b, const int32_t *indices,
               const float *weights) {
  const int64_t vectors = a.num_vectors, topk = a.topk, grain = (a.rows + b.pieces - 1) / b.pieces;
  parallel_for(stream, a.rows, grain, [&](int64_t begin, int64_t end) {
    int64_t *count = b.next + begin / grain * vectors;
    for (int64_t s = 0; s < vectors; ++s) count[s] = 0;
    for (int64_t i = begin * topk; i < end * topk; ++i) ++count[indices[i]];
  });
  const int64_t pieces = (a.rows + grain - 1) / grain;
  int64_t at = 0;
  for (int64_t s = 0; s < vectors; ++s) {
    b.first[s] = at;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t count = b.next[piece * vectors + s];
      b.next[piece * vectors + s] = at;
      at += count;
    }
  }
  b.first[vectors] = at;
  parallel_for(stream, a.rows, grain, [&](int64_t begin, int64_t end) {
    int64_t *next = b.next + begin / grain * vectors;
    for (int64_t row = begin; row < end; ++row) {
      const int32_t slot = static_cast<int32_t>(slot_of(a, row));
      for (int64_t i = row * topk; i < (row + 1) * topk; ++i) b.uses[next[indices[i]]++] = {slot, weights[i]};
    }
  });
}

void sum_chunks(vbl_stream *stream, const vbl_admixture &a, const Buffers &b, const float *dpacked, float *dbank) {
  const int64_t length = a.vector_length, uses = b.first[a.num_vectors];
  const auto sum_uses = VBL_SIMD(sum_uses);
  parallel_for(stream, uses, kChunk, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / kChunk;
    int64_t s = 0;  // the vector of the chunk's first use: the last one that begins at it or before
    for (int64_t above = a.num_vectors; above - s > 1;) {
      const int64_t middle = (s + above) / 2;
      (b.first[middle] <= begin ? s : above) = middle;
    }
    for (int64_t from = begin; from < end; ++s) {
      const int64_t to = b.first[s + 1] < end ? b.first[s + 1] : end;
      if (to == from) continue;
      double *partial = b.first[s] < begin     ? b.leading + chunk * length
                        : b.first[s + 1] > end ? b.trailing + chunk * length
                                               : nullptr;
      for (int64_t column = 0; column < length; column += kColumns) {
        const int64_t n = length - column < kColumns ? length - column : kColumns;
        double sum[kColumns];
        sum_uses(n, to - from, b.uses + from, dpacked + column, length, partial != nullptr ? partial + column : sum);
        if (partial == nullptr)
          for (int64_t i = 0; i < n; ++i) dbank[s * length + column + i] = static_cast<float>(sum[i]);
      }
      from = to;
    }
  });
}

// Vectors that no row uses, and those whose uses span chunks.
void finish_bank(vbl_stream *stream, const vbl_admixture &a, const Buffers &b, float *dbank) {
  const int64_t length = a.vector_length;
  parallel_for(stream, a.num_vectors, rows_per_task(length), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      float *out = dbank + s * length;
      if (b.first[s] == b.first[s + 1]) {
        for (int64_t i = 0; i < length; ++i) out[i] = 0;
        continue;
      }
      const int64_t first = b.first[s] / kChunk, last = (b.first[s + 1] - 1) / kChunk;
      if (first == last) continue;
      double *sum = b.trailing + first * length;
      for (int64_t chunk = first + 1; chunk <= last; ++chunk)
        for (int64_t i = 0; i < length; ++i) sum[i] += b.leading[chunk * length + i];
      for (int64_t i = 0; i < length; ++i) out[i] = static_cast<float>(sum[i]);
    }
  });
}

}  // namespace
}  // namespace vbl

extern "C" int64_t vbl_admixture_backward_scratch_bytes(const vbl_stream *stream, const vbl_admixture *admixture) {
  if (vbl::check_stream_and_admixture(__func__, stream, admixture) != VBL_OK) return -1;
#ifdef VBL_WITH_CUDA
  if (stream->device != VBL_DEVICE_CPU) return vbl::cuda::admixture_backward_scratch_bytes(*admixture);
#endif
  vbl::Scratch scratch;
  vbl::lay_out(scratch, vbl_stream_threads(stream), *admixture);
  return scratch.bytes();
}

extern "C" vbl_status vbl_admixture_backward(vbl_stream *stream, const vbl_admixture *admixture, const float *bank,
                                             const int32_t *indices, const float *weights, const float *dpacked,
                                             float *dlogits, float *dbank, void *scratch, int64_t scratch_bytes) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_REQUIRE_NOT_NULL(bank, indices, weights, dpacked, dlogits, dbank);
  const int64_t needed = vbl_admixture_backward_scratch_bytes(stream, admixture);
  if (needed < 0) return static_cast<vbl_status>(-needed);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, needed));
  VBL_ON_CUDA(stream, vbl::cuda::admixture_backward(stream, *admixture, bank, indices, weights, dpacked, dlogits, dbank,
                                                    scratch));
  VBL_TRY(vbl::check_indices(__func__, stream, *admixture, indices));
  VBL_TRY(vbl::check_slots(__func__, stream, *admixture));
  vbl::Scratch memory(scratch);
  const vbl::Buffers buffers = vbl::lay_out(memory, vbl_stream_threads(stream), *admixture);
  vbl::logits_gradient(stream, *admixture, buffers, bank, indices, weights, dpacked, dlogits);
  vbl::sort_uses(stream, *admixture, buffers, indices, weights);
  vbl::sum_chunks(stream, *admixture, buffers, dpacked, dbank);
  vbl::finish_bank(stream, *admixture, buffers, dbank);
  return VBL_OK;
}
