// What the ops compute, in float64, from the equations of the headers in include/vblora and nothing else. The tests use
// it as well.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "vblora/vblora.h"

namespace reference {

struct Shape {
  int64_t rows;
  int32_t num_vectors, vector_length, topk;
  vbl_admixture admixture(const int32_t *slots = nullptr) const {
    return {rows, num_vectors, vector_length, topk, slots};
  }
};

struct Selection {
  std::vector<int32_t> indices;
  std::vector<double> weights;
};

// The topk largest of a row's logits, ties to the lower index, and the softmax over them; appended to selection.
inline void select_row(const Shape &shape, const float *x, Selection *selection) {
  std::vector<int32_t> order(static_cast<size_t>(shape.num_vectors));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + shape.topk, order.end(),
                    [&](int32_t a, int32_t b) { return x[a] > x[b] || (x[a] == x[b] && a < b); });
  double sum = 0;
  for (int32_t j = 0; j < shape.topk; ++j) sum += std::exp(double{x[order[j]]} - x[order[0]]);
  for (int32_t j = 0; j < shape.topk; ++j) {
    selection->indices.push_back(order[j]);
    selection->weights.push_back(std::exp(double{x[order[j]]} - x[order[0]]) / sum);
  }
}

inline Selection select(const Shape &shape, const std::vector<float> &logits) {
  Selection selection;
  for (int64_t row = 0; row < shape.rows; ++row) select_row(shape, logits.data() + row * shape.num_vectors, &selection);
  return selection;
}

// What vbl_admixture_backward reads; no slots stand for the identity.
struct BackwardInput {
  std::vector<float> bank, weights, dpacked;
  std::vector<int32_t> indices, slots;
};

// A sum's magnitude is that of its terms without their signs: what its rounding is measured against.
struct Gradients {
  std::vector<double> dlogits, dlogits_magnitude, dbank, dbank_magnitude;
};

inline Gradients backward(const Shape &shape, const BackwardInput &input) {
  Gradients exact;
  exact.dlogits.resize(input.indices.size());
  exact.dlogits_magnitude.resize(input.indices.size());
  exact.dbank.resize(input.bank.size());
  exact.dbank_magnitude.resize(input.bank.size());
  const int64_t b = shape.vector_length, k = shape.topk;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float *du = input.dpacked.data() + (input.slots.empty() ? row : input.slots[row]) * b;
    std::vector<double> g(static_cast<size_t>(k)), g_magnitude(static_cast<size_t>(k));
    double mean = 0, mean_magnitude = 0;
    for (int64_t j = 0; j < k; ++j) {
      const int64_t s = input.indices[row * k + j];
      const double w = input.weights[row * k + j];
      for (int64_t i = 0; i < b; ++i) {
        const double product = double{du[i]} * input.bank[s * b + i];
        g[j] += product;
        g_magnitude[j] += std::fabs(product);
        exact.dbank[s * b + i] += w * du[i];
        exact.dbank_magnitude[s * b + i] += std::fabs(w * du[i]);
      }
      mean += w * g[j];
      mean_magnitude += std::fabs(w) * g_magnitude[j];
    }
    for (int64_t j = 0; j < k; ++j) {
      const double w = input.weights[row * k + j];
      exact.dlogits[row * k + j] = w * (g[j] - mean);
      exact.dlogits_magnitude[row * k + j] = std::fabs(w) * (g_magnitude[j] + mean_magnitude);
    }
  }
  return exact;
}

// A number, and the sum of the magnitudes that its float32 arithmetic rounds, each as it reaches the result: to first
// order the arithmetic is off by at most 2^-24 of that.
struct Rounded {
  double exact, magnitude;
};

struct Update {
  Rounded parameter, exp_avg, exp_avg_sq;
};

// AdamW of optimizer.h on one parameter, constants as they stand in the step.
inline Update adamw(const vbl_step &step, const vbl_adamw_group &group, double gradient, double parameter,
                    double exp_avg, double exp_avg_sq) {
  const double g = gradient * step.gradient_scale * step.clip_factor;  // 2 roundings
  const double moved = (g - exp_avg) * group.one_minus_beta1;
  const double m = exp_avg + moved;
  const double m_magnitude = 2 * std::fabs(group.one_minus_beta1 * g) + 2 * std::fabs(moved) + std::fabs(m);
  const double kept = exp_avg_sq * group.beta2, square = double{group.one_minus_beta2} * g * g;
  const double v = kept + square;
  const double v_magnitude = kept + 6 * square + v;
  const double decayed = parameter * group.decay;
  if (m == 0 && v == 0 && group.decay == 1) return {{parameter, 0}, {0, 0}, {0, 0}};  // stays exactly where it is
  const double step_size = group.neg_step_size, numerator = step_size * m;
  const double root = std::sqrt(v) / group.bias_correction2_sqrt;
  const double divisor = root + group.eps;
  const double divisor_magnitude = root * ((v > 0 ? v_magnitude / (2 * v) : 0) + 2) + divisor;
  const double move = numerator / divisor;
  const double move_magnitude = (std::fabs(step_size) * m_magnitude + std::fabs(numerator)) / divisor +
                                std::fabs(move) * (divisor_magnitude / divisor + 1);
  const double p = decayed + move;
  return {{p, std::fabs(decayed) + move_magnitude + std::fabs(p)}, {m, m_magnitude}, {v, v_magnitude}};
}

// Word e mod 4 of Philox4x32-10 for element e of a batch, as lowrank.h keys dropout.
inline uint32_t dropout_word(const vbl_step &step, uint32_t module, uint64_t e) {
  const uint64_t block = e / 4;
  uint32_t c[4] = {static_cast<uint32_t>(block),
                   (static_cast<uint32_t>(block >> 32) & 0xFFFF) | static_cast<uint32_t>(step.micro_batch) << 16,
                   module, static_cast<uint32_t>(step.step)};
  uint32_t key[2] = {static_cast<uint32_t>(step.seed), static_cast<uint32_t>(step.seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t left = uint64_t{0xD2511F53} * c[0], right = uint64_t{0xCD9E8D57} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(right >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(right),
                              static_cast<uint32_t>(left >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(left)};
    std::copy(next, next + 4, c);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c[e % 4];
}

// Dropout's mask [tokens, in_features].
inline std::vector<float> dropout_mask(const vbl_lowrank &lowrank, size_t member, const vbl_step &step) {
  const double threshold = std::nearbyint(double{lowrank.dropout} * 0x1p32);
  const float kept = static_cast<float>(1 / (1 - double{lowrank.dropout}));
  std::vector<float> mask(static_cast<size_t>(lowrank.tokens * lowrank.in_features), 1.0f);
  if (lowrank.dropout == 0) return mask;
  const uint64_t first = static_cast<uint64_t>(lowrank.first_token * lowrank.in_features);
  for (size_t i = 0; i < mask.size(); ++i)
    mask[i] = dropout_word(step, lowrank.member[member].module, first + i) >= threshold ? kept : 0;
  return mask;
}

// A bfloat16 or float16, as it lies in memory.
inline double widened(uint16_t bits, int32_t dtype) {
  if (dtype == VBL_BFLOAT16) {
    const uint32_t wide = uint32_t{bits} << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
  }
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

}  // namespace reference
