// vbl_adamw_group_set, vbl_adamw and vbl_adamw_select against AdamW's equations.
#include "admixture/reference.h"

using reference::Shape;

namespace {

vbl_step step_of(int64_t t, double learning_rate, double weight_decay = 0, double beta1 = 0.9, double beta2 = 0.999,
                 double eps = 1e-8) {
  vbl_step step = {};
  step.step = t;
  step.gradient_scale = 1;
  step.clip_factor = 1;
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&step.group[2], t, learning_rate, beta1, beta2, eps, weight_decay));
  return step;
}

// One update in float32 in the order that optimizer.h documents.
void update_in_order(const vbl_step &step, float gradient, float &p, float &m, float &v) {
  const vbl_adamw_group &g = step.group[2];
  float scaled = gradient * step.gradient_scale;
  scaled = scaled * step.clip_factor;
  p = p * g.decay;
  const float gap = scaled - m;
  const float moved = gap * g.one_minus_beta1;
  m = m + moved;
  const float kept = v * g.beta2;
  const float weighted = g.one_minus_beta2 * scaled;
  const float square = weighted * scaled;
  v = kept + square;
  const float numerator = g.neg_step_size * m;
  const float root = std::sqrt(v) / g.bias_correction2_sqrt;
  const float denominator = root + g.eps;
  p = p + numerator / denominator;
}

}  // namespace

TEST(group_constants_are_rounded_from_float64) {
  for (const int64_t t : {1, 2, 7, 1000, 1000000}) {
    vbl_adamw_group group = {};
    CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&group, t, 1e-2, 0.9, 0.999, 1e-8, 0.1));
    const double power1 = std::exp(static_cast<double>(t) * std::log(0.9)), power2 = std::exp(static_cast<double>(t) * std::log(0.999));
    CHECK_NEAR(group.neg_step_size, -1e-2 / (1 - power1), 0x1p-24 * 1e-1);
    CHECK_NEAR(group.bias_correction2_sqrt, std::sqrt(1 - power2), 0x1p-24);
    CHECK(group.one_minus_beta1 == 0.1f && group.beta2 == 0.999f && group.one_minus_beta2 == 0.001f);
    CHECK(group.eps == 1e-8f && group.decay == 0.999f && group.learning_rate == 0.01f);
  }
}

TEST(group_set_refuses_what_is_out_of_range) {
  vbl_adamw_group group = {};
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&group, 1, 0, 0, 0, 1e-30, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(nullptr, 1, 0, 0.9, 0.999, 1e-8, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 0, 0, 0.9, 0.999, 1e-8, 0));
  for (const double bad : {-1e-9, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, bad, 0.9, 0.999, 1e-8, 0));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, 0, bad, 0.999, 1e-8, 0));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, 0, 0.9, bad, 1e-8, 0));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, 0, 0.9, 0.999, bad, 0));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, 0, 0.9, 0.999, 1e-8, bad));
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, 0, 1, 0.999, 1e-8, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, 0, 0.9, 1, 1e-8, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw_group_set(&group, 1, 0, 0.9, 0.999, 1e-50, 0));  // 0 as float32
}

TEST(an_update_is_the_documented_arithmetic_to_the_bit) {
  check::CpuStream stream;
  check::Random random(check::seed());
  for (int trial = 0; trial < 60; ++trial) {
    const int64_t n = random.between(1, trial == 0 ? 70000 : 300);
    std::vector<float> p = reference::normal(random, n, 0.1f), m = reference::normal(random, n, 1e-3f);
    std::vector<float> v = reference::normal(random, n, 1e-3f), gradient = reference::normal(random, n, 1e-2f);
    for (float &x : v) x = x * x;
    for (int64_t i = 0; i < n; i += 5) m[i] = v[i] = 0;
    for (int64_t i = 0; i < n; i += 7) gradient[i] = i % 2 == 0 ? 0 : 1e-30f;  // its square is subnormal or 0
    vbl_step step = step_of(random.between(1, 5000), random.uniform(0, 0.1f), trial % 2 == 0 ? 0 : 0.01,
                            random.uniform(0, 0.99f), random.uniform(0, 0.9999f), 1e-8);
    step.gradient_scale = random.uniform(0.001f, 2);
    step.clip_factor = random.uniform(0.001f, 1);
    std::vector<float> found_p = p, found_m = m, found_v = v;
    CHECK_STATUS(VBL_OK, vbl_adamw(stream, n, &step, 2, found_p.data(), gradient.data(), found_m.data(), found_v.data()));
    for (int64_t i = 0; i < n; ++i) update_in_order(step, gradient[i], p[i], m[i], v[i]);
    CHECK(reference::same_bits(p, found_p) && reference::same_bits(m, found_m) && reference::same_bits(v, found_v));
  }
}

// Loshchilov and Hutter's Algorithm 2 in float64, 200 steps.
TEST(follows_adamw_in_float64) {
  check::CpuStream stream;
  check::Random random(check::seed());
  const int64_t n = 1000;
  std::vector<float> p = reference::normal(random, n, 0.1f), m(n, 0.0f), v(n, 0.0f);
  std::vector<double> p64(p.begin(), p.end()), m64(n, 0.0), v64(n, 0.0);
  for (int t = 1; t <= 200; ++t) {
    const double learning_rate = 1e-3 * t / 200, decay = 0.1;
    const vbl_step step = step_of(t, learning_rate, decay);
    const std::vector<float> gradient = reference::normal(random, n, 1e-2f);
    CHECK_STATUS(VBL_OK, vbl_adamw(stream, n, &step, 2, p.data(), gradient.data(), m.data(), v.data()));
    for (int64_t i = 0; i < n; ++i) {
      const double g = gradient[i];
      m64[i] = 0.9 * m64[i] + 0.1 * g;
      v64[i] = 0.999 * v64[i] + 0.001 * g * g;
      p64[i] -= learning_rate * decay * p64[i];
      p64[i] -= learning_rate * (m64[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v64[i] / (1 - std::pow(0.999, t))) + 1e-8);
    }
  }
  // Each step rounds a parameter below 1 a few times (2^-24 each) and moves it by at most about 1e-3 (1 + 1e-6).
  for (int64_t i = 0; i < n; ++i) CHECK_NEAR(p[i], p64[i], 200 * (2 * 0x1p-25 + 1e-9));
}

TEST(without_gradient_and_moments_a_parameter_stays) {
  check::CpuStream stream;
  const std::vector<float> p = {1, -0.0f, 0, -INFINITY, 1e-42f, -3e38f, 0.3f};
  std::vector<float> q = p, m(p.size(), 0.0f), v(p.size(), 0.0f), zero(p.size(), 0.0f);
  const vbl_step step = step_of(3, 1e-2);
  CHECK_STATUS(VBL_OK, vbl_adamw(stream, static_cast<int64_t>(p.size()), &step, 2, q.data(), zero.data(), m.data(), v.data()));
  CHECK(reference::same_bits(p, q) && reference::same_bits(m, zero) && reference::same_bits(v, zero));
}

// The fused pass is the two ops that it stands for, on a gradient that is zero but for the selected logits.
TEST(adamw_select_is_adamw_then_select) {
  check::Random random(check::seed());
  for (int trial = 0; trial < 60; ++trial) {
    Shape shape = reference::random_shape(random, 30, trial % 6 == 0 ? 5000 : 120, 1);
    if (trial == 0) shape = {900, 90, 1, 2};
    const vbl_admixture admixture = shape.admixture();
    const int64_t n = shape.rows * shape.num_vectors;
    std::vector<float> logits = reference::normal(random, n, 0.1f), m = reference::normal(random, n, 1e-3f), v = m;
    for (float &x : v) x = x * x;
    if (trial % 3 == 0) std::fill(m.begin(), m.end(), 0.0f), std::fill(v.begin(), v.end(), 0.0f);
    const std::vector<float> dlogits = reference::normal(random, shape.rows * shape.topk, 1e-2f);
    const std::vector<int32_t> indices = reference::select(shape, logits).indices;
    vbl_step step = step_of(random.between(1, 50), 0.05, trial % 2 == 0 ? 0 : 0.1);
    step.gradient_scale = 0.5f;
    step.clip_factor = 0.7f;

    std::vector<float> p = logits, pm = m, pv = v, dense(static_cast<size_t>(n), 0.0f), weights(dlogits.size());
    for (size_t i = 0; i < indices.size(); ++i)
      dense[i / shape.topk * shape.num_vectors + indices[i]] = dlogits[i];
    std::vector<int32_t> next(indices.size());
    int64_t bad_row = 0;
    check::CpuStream stream(2);
    CHECK_STATUS(VBL_OK, vbl_adamw(stream, n, &step, 2, p.data(), dense.data(), pm.data(), pv.data()));
    CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, p.data(), next.data(), weights.data(), &bad_row));

    for (const int threads : {1, 2, 5}) {
      std::vector<float> q = logits, qm = m, qv = v, found_weights(weights.size(), NAN);
      std::vector<int32_t> found = indices;
      int64_t found_bad_row = 0;
      CHECK_STATUS(VBL_OK, vbl_adamw_select(check::CpuStream(threads), &admixture, &step, 2, q.data(), dlogits.data(),
                                            qm.data(), qv.data(), found.data(), found_weights.data(), &found_bad_row));
      CHECK(reference::same_bits(p, q) && reference::same_bits(pm, qm) && reference::same_bits(pv, qv));
      CHECK(found == next && reference::same_bits(weights, found_weights) && found_bad_row == -1 && bad_row == -1);
    }
  }
}

TEST(adamw_select_reports_bad_rows) {
  check::CpuStream stream;
  const vbl_admixture admixture = {3, 4, 1, 2, nullptr};
  std::vector<float> logits(12, 0.5f), m(12, 0.0f), v(12, 0.0f), weights(6), dlogits(6, 0.1f);
  std::vector<int32_t> indices = {0, 1, 2, 3, 0, 1};
  dlogits[3] = NAN;
  int64_t bad_row = -2;
  const vbl_step step = step_of(1, 0.01);
  CHECK_STATUS(VBL_OK, vbl_adamw_select(stream, &admixture, &step, 2, logits.data(), dlogits.data(), m.data(), v.data(),
                                        indices.data(), weights.data(), &bad_row));
  CHECK(bad_row == 1 && indices[2] == 3 && std::isnan(weights[2]) && std::isnan(weights[3]));
  CHECK(indices[0] == 2 && indices[1] == 3 && weights[0] == 0.5f && weights[1] == 0.5f);
}

TEST(adamw_refuses_bad_arguments) {
  check::CpuStream stream;
  const vbl_admixture admixture = {1, 2, 1, 1, nullptr};
  float p[2] = {1, 2}, g[2] = {1, 1}, m[2] = {}, v[2] = {}, weights[1];
  int32_t indices[1] = {0};
  int64_t bad_row;
  const vbl_step step = step_of(1, 0.1);
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(nullptr, 2, &step, 2, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, -1, &step, 2, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, nullptr, 2, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, -1, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, VBL_STEP_GROUPS, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, 1, p, g, m, v));  // never filled
  CHECK(std::strstr(vbl_last_error(), "vbl_adamw_group_set") != nullptr);
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, 2, nullptr, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, 2, p, nullptr, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, 2, p, g, nullptr, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, 2, p, g, m, nullptr));
  CHECK_STATUS(VBL_OK, vbl_adamw(stream, 0, &step, 2, nullptr, nullptr, nullptr, nullptr));
  const auto select = [&](const vbl_step *s, float *logits, const float *gradient, int32_t *i, float *w, int64_t *bad) {
    return vbl_adamw_select(stream, &admixture, s, 2, logits, gradient, m, v, i, w, bad);
  };
  CHECK_STATUS(VBL_INVALID_ARGUMENT, select(nullptr, p, g, indices, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, select(&step, nullptr, g, indices, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, select(&step, p, nullptr, indices, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, select(&step, p, g, nullptr, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, select(&step, p, g, indices, nullptr, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, select(&step, p, g, indices, weights, nullptr));
  indices[0] = 2;
  CHECK_STATUS(VBL_INVALID_ARGUMENT, select(&step, p, g, indices, weights, &bad_row));
  CHECK(p[0] == 1 && p[1] == 2);
}
