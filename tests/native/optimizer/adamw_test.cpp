// vbl_adamw_group_set, vbl_adamw and vbl_adamw_select against AdamW's equations, on every device.
#include "admixture/reference.h"
#include "bench/adamw_step.h"
#include "device.h"

using reference::AdamwStep;
using reference::Shape;

namespace {

AdamwStep step_of(int64_t t, double learning_rate, double weight_decay = 0, double beta1 = 0.9, double beta2 = 0.999,
                  double eps = 1e-8) {
  AdamwStep step = {};
  step.step = t;
  step.gradient_scale = 1;
  step.clip_factor = 1;
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&step.group[2], t, learning_rate, beta1, beta2, eps, weight_decay));
  return step;
}

// One update in float32 in the order that optimizer.h documents.
void update_in_order(const AdamwStep &step, float gradient, float &p, float &m, float &v) {
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

// Parameters with their moments, on a device.
struct Parameters {
  check::Array<float> p, m, v;

  // shift: elements by which they are off a 16-byte boundary.
  Parameters(vbl_stream *stream, const std::vector<float> &parameters, const std::vector<float> &exp_avg,
             const std::vector<float> &exp_avg_sq, int64_t shift = 0)
      : p(stream, parameters, shift), m(stream, exp_avg, shift), v(stream, exp_avg_sq, shift) {}
  bool same(const std::vector<float> &parameters, const std::vector<float> &exp_avg,
            const std::vector<float> &exp_avg_sq) const {
    return check::same_bits(p.get(), parameters) && check::same_bits(m.get(), exp_avg) &&
           check::same_bits(v.get(), exp_avg_sq);
  }
};

void adamw(vbl_stream *stream, const AdamwStep &step, const Parameters &x, const std::vector<float> &gradient,
           int64_t shift = 0) {
  const check::Array<float> g(stream, gradient, shift);
  const check::Array<AdamwStep> constants(stream, std::vector<AdamwStep>{step});
  CHECK_STATUS(VBL_OK, vbl_adamw(stream, x.p.size(), constants.data(), constants.data()->group + 2, x.p.data(),
                                 g.data(), x.m.data(), x.v.data()));
  CHECK_STATUS(VBL_OK, vbl_stream_synchronize(stream));
}

struct Selection {
  std::vector<int32_t> indices;
  std::vector<float> weights;
  int64_t bad_row;
};

Selection adamw_select(vbl_stream *stream, const Shape &shape, const AdamwStep &step, const Parameters &x,
                       const std::vector<float> &dlogits, const std::vector<int32_t> &selected) {
  const check::Array<float> g(stream, dlogits), weights(stream, dlogits.size(), NAN);
  const check::Array<int32_t> indices(stream, selected);
  const check::Array<AdamwStep> constants(stream, std::vector<AdamwStep>{step});
  const check::Array<int64_t> bad_row(stream, 1, -2);
  const vbl_admixture admixture = shape.admixture();
  CHECK_STATUS(VBL_OK,
               vbl_adamw_select(stream, &admixture, constants.data(), constants.data()->group + 2, x.p.data(), g.data(),
                                x.m.data(), x.v.data(), indices.data(), weights.data(), bad_row.data()));
  return {indices.get(), weights.get(), bad_row.get()[0]};
}

}  // namespace

TEST(group_constants_are_rounded_from_float64) {
  for (const int64_t t : {1, 2, 7, 1000, 1000000}) {
    vbl_adamw_group group = {};
    CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&group, t, 1e-2, 0.9, 0.999, 1e-8, 0.1));
    const double power1 = std::exp(static_cast<double>(t) * std::log(0.9)),
                 power2 = std::exp(static_cast<double>(t) * std::log(0.999));
    CHECK_NEAR(group.neg_step_size, -1e-2 / (1 - power1), 0x1p-24 * 1e-1);
    CHECK_NEAR(group.bias_correction2_sqrt, std::sqrt(1 - power2), 0x1p-24);
    CHECK(group.one_minus_beta1 == 0.1f && group.beta2 == 0.999f && group.one_minus_beta2 == 0.001f);
    CHECK(group.eps == 1e-8f && group.decay == 0.999f);
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
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (int trial = 0; trial < 60; ++trial) {
      if (!sample.takes()) continue;
      const int64_t n = random.between(1, trial == 0 ? 70000 : trial % 4 == 0 ? 3000 : 300), shift = trial % 3;
      std::vector<float> p = check::normals(random, n, 0.1f), m = check::normals(random, n, 1e-3f);
      std::vector<float> v = check::normals(random, n, 1e-3f), gradient = check::normals(random, n, 1e-2f);
      for (float &x : v) x = x * x;
      for (int64_t i = 0; i < n; i += 5) m[i] = v[i] = 0;
      for (int64_t i = 0; i < n; i += 10) m[i] = -0.0f;
      for (int64_t i = 0; i < n; i += 7) gradient[i] = i % 2 == 0 ? 0 : 1e-30f;  // its square is subnormal or 0
      for (int64_t i = 0; i < n; i += 35) p[i] = 0;                              // of which such a move remains
      AdamwStep step = step_of(random.between(1, 5000), random.uniform(0, 0.1f), trial % 2 == 0 ? 0 : 0.01,
                               random.uniform(0, 0.99f), random.uniform(0, 0.9999f), 1e-8);
      step.gradient_scale = random.uniform(0.001f, 2);
      step.clip_factor = random.uniform(0.001f, 1);
      const Parameters found(stream, p, m, v, shift);
      adamw(stream, step, found, gradient, trial % 2 == 0 ? shift : 0);
      for (int64_t i = 0; i < n; ++i) update_in_order(step, gradient[i], p[i], m[i], v[i]);
      CHECK(found.same(p, m, v));
    }
  });
}

// Loshchilov and Hutter's Algorithm 2 in float64, 200 steps.
TEST(follows_adamw_in_float64) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    const int64_t n = 1000;
    std::vector<float> p = check::normals(random, n, 0.1f);
    const Parameters found(stream, p, std::vector<float>(n, 0.0f), std::vector<float>(n, 0.0f));
    std::vector<double> p64(p.begin(), p.end()), m64(n, 0.0), v64(n, 0.0);
    for (int t = 1; t <= 200; ++t) {
      const double learning_rate = 1e-3 * t / 200, decay = 0.1;
      const std::vector<float> gradient = check::normals(random, n, 1e-2f);
      adamw(stream, step_of(t, learning_rate, decay), found, gradient);
      for (int64_t i = 0; i < n; ++i) {
        const double g = gradient[i];
        m64[i] = 0.9 * m64[i] + 0.1 * g;
        v64[i] = 0.999 * v64[i] + 0.001 * g * g;
        p64[i] -= learning_rate * decay * p64[i];
        p64[i] -=
            learning_rate * (m64[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v64[i] / (1 - std::pow(0.999, t))) + 1e-8);
      }
    }
    p = found.p.get();
    // Each step rounds a parameter below 1 a few times (2^-24 each) and moves it by at most about 1e-3 (1 + 1e-6).
    for (int64_t i = 0; i < n; ++i) CHECK_NEAR(p[i], p64[i], 200 * (2 * 0x1p-25 + 1e-9));
  });
}

TEST(without_gradient_and_moments_a_parameter_stays) {
  check::for_each_device([](vbl_stream *stream) {
    const std::vector<float> p = {1, -0.0f, 0, -INFINITY, 1e-42f, -3e38f, 0.3f}, zero(p.size(), 0.0f);
    const Parameters found(stream, p, zero, zero);
    adamw(stream, step_of(3, 1e-2), found, zero);
    CHECK(found.same(p, zero, zero));
  });
}

// The fused pass is the two ops that it stands for, on a gradient that is zero but for the selected logits.
TEST(adamw_select_is_adamw_then_select) {
  check::Random random(check::seed());
  check::Sample sample;
  for (int trial = 0; trial < 60; ++trial) {
    if (!sample.takes()) continue;
    Shape shape = reference::random_shape(random, 20, trial % 6 == 0 ? 2000 : 120, 1);
    if (trial == 0) shape = {300, 90, 1, 2};
    if (trial == 1) shape = {3, 4100, 1, 7};  // a row for several warps
    if (trial == 2) shape = {9, 260, 1, 100};
    if (trial == 3) shape = {1, 65536, 1, 2};
    if (trial == 4) shape = {1, 65536, 1, 40};
    const vbl_admixture admixture = shape.admixture();
    const int64_t n = shape.rows * shape.num_vectors;
    std::vector<float> logits = check::normals(random, n, 0.1f), m = check::normals(random, n, 1e-3f), v = m;
    for (float &x : v) x = x * x;
    if (trial % 3 == 0) std::fill(m.begin(), m.end(), 0.0f), std::fill(v.begin(), v.end(), 0.0f);
    const std::vector<float> dlogits = check::normals(random, shape.rows * shape.topk, 1e-2f);
    const std::vector<int32_t> indices = reference::select(shape, logits).indices;
    AdamwStep step = step_of(random.between(1, 50), 0.05, trial % 2 == 0 ? 0 : 0.1);
    step.gradient_scale = 0.5f;
    step.clip_factor = 0.7f;

    std::vector<float> p = logits, pm = m, pv = v, dense(static_cast<size_t>(n), 0.0f), weights(dlogits.size());
    for (size_t i = 0; i < indices.size(); ++i) dense[i / shape.topk * shape.num_vectors + indices[i]] = dlogits[i];
    std::vector<int32_t> next(indices.size());
    int64_t bad_row = 0;
    check::CpuStream cpu;
    CHECK_STATUS(VBL_OK, vbl_adamw(cpu, n, &step, step.group + 2, p.data(), dense.data(), pm.data(), pv.data()));
    CHECK_STATUS(VBL_OK, vbl_select(cpu, &admixture, p.data(), next.data(), weights.data(), &bad_row));

    const auto fused = [&](vbl_stream *stream) {
      const Parameters x(stream, logits, m, v, trial % 4);
      const Selection found = adamw_select(stream, shape, step, x, dlogits, indices);
      CHECK(x.same(p, pm, pv));
      CHECK(found.indices == next && found.bad_row == -1 && bad_row == -1);
      for (size_t i = 0; i < weights.size(); ++i)  // equal, but for the order of sums in float64
        CHECK_NEAR(found.weights[i], weights[i], shape.topk > 32 ? 0x1p-23 * weights[i] : 0);
    };
    for (const int threads : {1, 5}) fused(check::CpuStream(threads));
    check::for_each_device(fused);
  }
}

TEST(adamw_select_reports_bad_rows) {
  check::for_each_device([](vbl_stream *stream) {
    std::vector<float> dlogits(6, 0.1f);
    dlogits[3] = NAN;
    const Parameters x(stream, std::vector<float>(12, 0.5f), std::vector<float>(12, 0.0f),
                       std::vector<float>(12, 0.0f));
    const Selection found = adamw_select(stream, {3, 4, 1, 2}, step_of(1, 0.01), x, dlogits, {0, 1, 2, 3, 0, 1});
    CHECK(found.bad_row == 1 && found.indices[2] == 3 && std::isnan(found.weights[2]) && std::isnan(found.weights[3]));
    CHECK(found.indices[0] == 2 && found.indices[1] == 3 && found.weights[0] == 0.5f && found.weights[1] == 0.5f);
  });
}

// On CUDA an index out of range cannot be refused: its gradient goes nowhere.
TEST(adamw_select_passes_over_wild_indices_on_cuda) {
  check::on_cuda([](vbl_stream *stream) {
    for (const int32_t topk : {2, 33}) {
      const std::vector<float> zero(80, 0.0f);
      std::vector<float> logits(80, 0.0f);
      logits[7] = 1;
      const Parameters x(stream, logits, zero, zero);
      std::vector<int32_t> wild(static_cast<size_t>(2 * topk), -5);
      for (size_t j = 0; j < wild.size(); j += 2) wild[j] = 40 + static_cast<int32_t>(j);
      const Selection found =
          adamw_select(stream, {2, 40, 1, topk}, step_of(1, 0.01), x, std::vector<float>(wild.size(), 1.0f), wild);
      CHECK(x.same(logits, zero, zero) && found.indices[0] == 7 && found.indices[topk] == 0);
    }
  });
}

// Captured work reads the step's constants when it runs, and repeats to the bit.
TEST(adamw_select_replays_with_other_constants) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const Shape &shape : {Shape{20, 130, 1, 2}, Shape{5, 64, 1, 40}}) {
      const vbl_admixture admixture = shape.admixture();
      const int64_t n = shape.rows * shape.num_vectors;
      const std::vector<float> logits = check::normals(random, n, 0.1f), zero(static_cast<size_t>(n), 0.0f);
      const std::vector<float> dlogits = check::normals(random, shape.rows * shape.topk, 1e-2f);
      const std::vector<int32_t> selected = reference::select(shape, logits).indices;
      const Parameters eager(stream, logits, zero, zero), replayed(stream, logits, zero, zero);
      const check::Array<float> g(stream, dlogits), dense(stream, check::normals(random, n, 1e-2f));
      check::Array<float> weights(stream, dlogits.size(), NAN);
      check::Array<int32_t> indices(stream, selected);
      check::Array<int64_t> bad_row(stream, 1, -2);
      check::Array<AdamwStep> constants(stream, std::vector<AdamwStep>{step_of(1, 1)});
      vbl_graph *graph = nullptr;
      CHECK_STATUS(VBL_OK, vbl_graph_begin(stream));
      CHECK_STATUS(VBL_OK, vbl_adamw_select(stream, &admixture, constants.data(), constants.data()->group + 2,
                                            replayed.p.data(), g.data(), replayed.m.data(), replayed.v.data(),
                                            indices.data(), weights.data(), bad_row.data()));
      CHECK_STATUS(VBL_OK, vbl_adamw(stream, n, constants.data(), constants.data()->group + 2, replayed.p.data(),
                                     dense.data(), replayed.m.data(), replayed.v.data()));
      CHECK_STATUS(VBL_OK, vbl_graph_end(stream, &graph));
      Selection now = {selected, {}, -2};
      for (int t = 1; t <= (check::kThreadSanitizer ? 4 : 20); ++t) {
        const AdamwStep step = step_of(t, 1e-3 * t, t % 3 == 0 ? 0.01 : 0);
        now = adamw_select(stream, shape, step, eager, dlogits, now.indices);
        const check::Array<AdamwStep> once(stream, std::vector<AdamwStep>{step});
        CHECK_STATUS(VBL_OK, vbl_adamw(stream, n, once.data(), once.data()->group + 2, eager.p.data(), dense.data(),
                                       eager.m.data(), eager.v.data()));
        constants.set({step});
        CHECK_STATUS(VBL_OK, vbl_graph_launch(stream, graph));
        CHECK(replayed.same(eager.p.get(), eager.m.get(), eager.v.get()));
        CHECK(indices.get() == now.indices && check::same_bits(weights.get(), now.weights));
      }
      CHECK_STATUS(VBL_OK, vbl_graph_destroy(graph));
    }
  });
}

TEST(adamw_refuses_bad_arguments) {
  check::CpuStream stream;
  const vbl_admixture admixture = {1, 2, 1, 1, nullptr};
  float p[2] = {1, 2}, g[2] = {1, 1}, m[2] = {}, v[2] = {}, weights[1];
  int32_t indices[1] = {0};
  int64_t bad_row;
  const AdamwStep step = step_of(1, 0.1);
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(nullptr, 2, &step, step.group + 2, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, -1, &step, step.group + 2, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, nullptr, step.group + 2, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, nullptr, p, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, step.group + 1, p, g, m, v));  // never filled
  CHECK(std::strstr(vbl_last_error(), "vbl_adamw_group_set") != nullptr);
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, step.group + 2, nullptr, g, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, step.group + 2, p, nullptr, m, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, step.group + 2, p, g, nullptr, v));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_adamw(stream, 2, &step, step.group + 2, p, g, m, nullptr));
  CHECK_STATUS(VBL_OK, vbl_adamw(stream, 0, &step, step.group + 2, nullptr, nullptr, nullptr, nullptr));
  const auto select = [&](const AdamwStep *s, float *logits, const float *gradient, int32_t *i, float *w,
                          int64_t *bad) {
    return vbl_adamw_select(stream, &admixture, s, step.group + 2, logits, gradient, m, v, i, w, bad);
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
