#include "active_set/active_set.h"

#include <cstring>

#include "admixture/topk.simd.h"

namespace vbl {

vbl_status check_active(const char *op, const char *name, const vbl_admixture &admixture, const vbl_active *active) {
  VBL_REQUIRE(active != nullptr, "%s: %s must not be NULL", op, name);
  VBL_REQUIRE(active->capacity >= admixture.topk && active->capacity <= admixture.num_vectors,
              "%s: %s->capacity must lie in topk .. num_vectors = %d .. %d, found %d", op, name, admixture.topk,
              admixture.num_vectors, active->capacity);
  VBL_REQUIRE(active->candidates >= admixture.topk, "%s: %s->candidates must be at least topk = %d, found %d", op, name,
              admixture.topk, active->candidates);
  const struct {
    const char *name;
    const void *pointer;
  } fields[] = {{"count", active->count},
                {"index", active->index},
                {"logit", active->logit},
                {"exp_avg", active->exp_avg},
                {"exp_avg_sq", active->exp_avg_sq},
                {"candidate_count", active->candidate_count},
                {"candidate_index", active->candidate_index},
                {"max_count", active->max_count}};
  for (const auto &field : fields)
    VBL_REQUIRE(field.pointer != nullptr, "%s: %s->%s must not be NULL", op, name, field.name);
  return VBL_OK;
}

CandidateScratch lay_out_candidates(Scratch &scratch, int32_t threads, const vbl_admixture &admixture) {
  CandidateScratch s;
  s.num_vectors = admixture.num_vectors;
  s.words = (s.num_vectors + 63) / 64;
  s.excluded = scratch.take<uint64_t>(threads, s.words);
  s.logit = scratch.take<float>(threads, s.num_vectors);
  return s;
}

void find_candidates(const CandidateScratch &scratch, int32_t worker, const vbl_active &active, int64_t row,
                     const float *row_logits) {
  uint64_t *excluded = scratch.excluded + worker * scratch.words;
  std::memset(excluded, 0, static_cast<size_t>(scratch.words) * sizeof *excluded);
  const int32_t *index = active.index + row * active.capacity;
  for (int32_t i = 0; i < active.count[row]; ++i) excluded[index[i] >> 6] |= uint64_t{1} << (index[i] & 63);
  const int64_t most = active.candidates < scratch.num_vectors ? active.candidates : scratch.num_vectors;
  TopK best = {static_cast<int32_t>(most), 0, active.candidate_index + row * active.candidates,
               scratch.logit + worker * scratch.num_vectors};
  VBL_SIMD(topk_scan)(&best, scratch.num_vectors, row_logits, nullptr, excluded);
  topk_sort(&best);
  active.candidate_count[row] = best.size;
}

vbl_status check_capacity(const char *op, const vbl_active &active, int32_t need) {
  *active.max_count = need;
  if (need > active.capacity)
    return fail(VBL_CAPACITY, "%s: a row needs %d active entries, the capacity is %d", op, need, active.capacity);
  return VBL_OK;
}

namespace {

int64_t list_rows_per_task(const vbl_active &active) { return rows_per_task(active.capacity + active.candidates); }

template <typename T>
void copy(T *to, const T *from, int64_t n) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
}

}  // namespace
}  // namespace vbl

extern "C" int64_t vbl_active_scratch_bytes(const vbl_stream *stream, const vbl_admixture *admixture) {
  if (vbl::check_stream_and_admixture(__func__, stream, admixture) != VBL_OK) return -1;
  vbl::Scratch scratch;
  if (stream->device != VBL_DEVICE_CPU) {
    vbl::cuda::lay_out_active(scratch, *admixture);
  } else {
    vbl::lay_out_candidates(scratch, vbl_stream_threads(stream), *admixture);
  }
  return scratch.bytes();
}

extern "C" vbl_status vbl_active_load(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *active,
                                      const float *logits, const float *exp_avg, const float *exp_avg_sq, void *scratch,
                                      int64_t scratch_bytes) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_TRY(vbl::check_active(__func__, "active", *admixture, active));
  VBL_REQUIRE_NOT_NULL(logits);
  VBL_REQUIRE((exp_avg == nullptr) == (exp_avg_sq == nullptr),
              "%s: exp_avg and exp_avg_sq must both be NULL or neither", __func__);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_active_scratch_bytes(stream, admixture)));
  vbl::Scratch memory(scratch);
  VBL_ON_CUDA(stream, vbl::cuda::active_load(stream, *admixture, *active, logits, exp_avg, exp_avg_sq,
                                             vbl::cuda::lay_out_active(memory, *admixture)));
  const vbl::CandidateScratch candidates = vbl::lay_out_candidates(memory, vbl_stream_threads(stream), *admixture);
  const int64_t num_vectors = admixture->num_vectors, grain = vbl::rows_per_task(num_vectors);
  const auto moved = [&](int64_t i) { return exp_avg != nullptr && (exp_avg[i] != 0 || exp_avg_sq[i] != 0); };

  vbl::HighestCount need;
  if (exp_avg != nullptr) {
    vbl::parallel_for(stream, admixture->rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        int32_t count = 0;
        for (int64_t i = row * num_vectors; i < (row + 1) * num_vectors; ++i) count += moved(i);
        need.note(count);
      }
    });
  }
  VBL_TRY(vbl::check_capacity(__func__, *active, need.get()));

  vbl::parallel_for(stream, admixture->rows, grain, [&](int64_t begin, int64_t end, int32_t worker) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t list = row * active->capacity, dense = row * num_vectors;
      int32_t count = 0;
      for (int32_t s = 0; exp_avg != nullptr && s < admixture->num_vectors; ++s) {
        if (!moved(dense + s)) continue;
        active->index[list + count] = s;
        active->logit[list + count] = logits[dense + s];
        active->exp_avg[list + count] = exp_avg[dense + s];
        active->exp_avg_sq[list + count] = exp_avg_sq[dense + s];
        ++count;
      }
      active->count[row] = count;
      vbl::find_candidates(candidates, worker, *active, row, logits + dense);
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_active_store(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *active,
                                       float *logits, float *exp_avg, float *exp_avg_sq) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_TRY(vbl::check_active(__func__, "active", *admixture, active));
  VBL_REQUIRE_NOT_NULL(logits);
  VBL_ON_CUDA(stream, vbl::cuda::active_store(stream, *admixture, *active, logits, exp_avg, exp_avg_sq));
  const int64_t num_vectors = admixture->num_vectors;
  const auto store = [&](int64_t row, const float *values, float *dense) {
    for (int32_t i = 0; i < active->count[row]; ++i)
      dense[row * num_vectors + active->index[row * active->capacity + i]] = values[row * active->capacity + i];
  };
  const auto store_moments = [&](int64_t row, const float *values, float *dense) {
    if (dense == nullptr) return;
    std::memset(dense + row * num_vectors, 0, static_cast<size_t>(num_vectors) * sizeof *dense);
    store(row, values, dense);
  };
  vbl::parallel_for(stream, admixture->rows, vbl::rows_per_task(num_vectors), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      store(row, active->logit, logits);
      store_moments(row, active->exp_avg, exp_avg);
      store_moments(row, active->exp_avg_sq, exp_avg_sq);
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_active_copy(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *from,
                                      const vbl_active *to) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_TRY(vbl::check_active(__func__, "from", *admixture, from));
  VBL_TRY(vbl::check_active(__func__, "to", *admixture, to));
  VBL_ON_CUDA(stream, vbl::cuda::active_copy(stream, *admixture, *from, *to));
  int32_t need = 0;
  for (int64_t row = 0; row < admixture->rows; ++row) need = from->count[row] > need ? from->count[row] : need;
  VBL_TRY(vbl::check_capacity(__func__, *to, need));
  vbl::parallel_for(stream, admixture->rows, vbl::list_rows_per_task(*to), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t out = row * to->capacity, in = row * from->capacity, count = from->count[row];
      to->count[row] = from->count[row];
      vbl::copy(to->index + out, from->index + in, count);
      vbl::copy(to->logit + out, from->logit + in, count);
      vbl::copy(to->exp_avg + out, from->exp_avg + in, count);
      vbl::copy(to->exp_avg_sq + out, from->exp_avg_sq + in, count);
      // The best candidates come first: those that do not fit are found again when they are needed.
      const int32_t candidates =
          from->candidate_count[row] < to->candidates ? from->candidate_count[row] : to->candidates;
      to->candidate_count[row] = candidates;
      vbl::copy(to->candidate_index + row * to->candidates, from->candidate_index + row * from->candidates, candidates);
    }
  });
  return VBL_OK;
}
