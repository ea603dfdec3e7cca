#include "optimizer/adamw.simd.h"

#include "optimizer/adamw.h"

namespace vbl {
namespace VBL_ISA {

void adamw(int64_t n, const vbl_step *step, const vbl_adamw_group *group, float *__restrict parameter,
           const float *__restrict gradient, float *__restrict exp_avg, float *__restrict exp_avg_sq) {
  const vbl_adamw_group constants = *group;
  const float gradient_scale = step->gradient_scale, clip_factor = step->clip_factor;
  for (int64_t i = 0; i < n; ++i)
    adamw_update(constants, adamw_gradient(gradient[i], gradient_scale, clip_factor), parameter + i, exp_avg + i,
                 exp_avg_sq + i);
}

// Blocks of several rows, or of a part of one, with their gradients spread out on the stack run through the same
// straight loop: a row's end would cost a short one as much as all the rest.
void adamw_sparse(int64_t rows, int64_t n, const vbl_step *step, const vbl_adamw_group *group,
                  float *__restrict parameter, int32_t k, const int32_t *position, const float *gradient,
                  float *__restrict exp_avg, float *__restrict exp_avg_sq) {
  constexpr int64_t kBlock = 1024;
  const vbl_adamw_group constants = *group;
  const int64_t block_rows = n < kBlock ? kBlock / n : 1;
  const int64_t longest = rows * n < kBlock ? rows * n : kBlock;
  float spread[kBlock];
  for (int64_t i = 0; i < longest; ++i) spread[i] = 0;
  for (int64_t first = 0; first < rows; first += block_rows) {
    const int64_t last = first + block_rows < rows ? first + block_rows : rows;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t end = begin + kBlock < n ? begin + kBlock : n;
      const auto spread_out = [&](auto value) {
        for (int64_t row = first; row < last; ++row)
          for (int64_t j = row * k; j < (row + 1) * k; ++j)
            if (position[j] >= begin && position[j] < end) spread[(row - first) * n + position[j] - begin] = value(j);
      };
      spread_out([&](int64_t j) { return adamw_gradient(gradient[j], step->gradient_scale, step->clip_factor); });
      const int64_t offset = first * n + begin, length = (last - first - 1) * n + end - begin;
      for (int64_t i = 0; i < length; ++i)
        adamw_update(constants, spread[i], parameter + offset + i, exp_avg + offset + i, exp_avg_sq + offset + i);
      spread_out([](int64_t) { return 0.0f; });
    }
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
