// AdamW on the bank; the gradient's norm, and clipping by it.
#include <cmath>

#include "cases.h"
#include "step.h"

namespace bench {
namespace {

class AdamwCases : public Cases {
 public:
  AdamwCases(vbl_stream *stream, const Shape &shape, Random &random)
      : stream_(stream), parameter_(stream, int64_t{shape.num_vectors} * shape.vector_length, shape.shift),
        gradient_(stream, parameter_.size(), shape.shift), exp_avg_(stream, parameter_.size(), shape.shift),
        exp_avg_sq_(stream, parameter_.size(), shape.shift), sum_(stream, 1),
        step_(stream, std::vector<AdamwStep>{step_constants()}), clipped_step_(stream, step_.get()),
        scratch_(stream, vbl_sum_squares_scratch_bytes(stream, parameter_.size())) {
    memory_ = {{"parameter", &parameter_},   {"gradient", &gradient_}, {"exp_avg", &exp_avg_},
               {"exp_avg_sq", &exp_avg_sq_}, {"sum", &sum_},           {"step", &step_},
               {"step", &clipped_step_},     {"scratch", &scratch_}};
    fill_normal(parameter_, random, 0.01f);
    fill_normal(gradient_, random, 1e-3f);
    exp_avg_.clear();
    exp_avg_sq_.clear();
    sum_.clear();
    const double n = static_cast<double>(parameter_.size());
    cases_.push_back(
        {"adamw", "float32", "-", 28 * n, true, [this] { return adamw(); }, [this] { return check_adamw(); }});
    cases_.push_back({"sum_squares", "float32", "-", 4 * n, true, [this] { return sum_squares(); },
                      [this] { return check_sum_squares(); }});
    cases_.push_back({"clip", "float32", "-", 20, true, [this] { return clip(); }, [this] { return check_clip(); }});
  }

 private:
  vbl_status adamw() {
    return vbl_adamw(stream_, parameter_.size(), step_.data(), step_.data()->group + kDecayed, parameter_.data(),
                     gradient_.data(), exp_avg_.data(), exp_avg_sq_.data());
  }

  Finding check_adamw() {
    Comparison comparison(kFloat32, "all its roundings");
    const AdamwStep step = step_.get()[0];
    const std::vector<float> p = parameter_.get(), m = exp_avg_.get(), v = exp_avg_sq_.get(), g = gradient_.get();
    run("vbl_adamw", [this] { return adamw(); }, {{"gradient", &gradient_}, {"step", &step_}}, &comparison);
    const std::vector<float> new_p = parameter_.get(), new_m = exp_avg_.get(), new_v = exp_avg_sq_.get();
    for (size_t i = 0; i < p.size(); ++i)
      compare_update(static_cast<int64_t>(i), new_p[i], new_m[i], new_v[i],
                     reference::adamw(step, step.group[kDecayed], g[i], p[i], m[i], v[i]), &comparison);
    return comparison.finding();
  }

  vbl_status sum_squares() {
    return vbl_sum_squares(stream_, gradient_.size(), gradient_.data(), sum_.data(), scratch_.data(), scratch_.bytes());
  }

  Finding check_sum_squares() {
    Comparison comparison(static_cast<double>(gradient_.size()) * 0x1p-53, "n float64 roundings");
    sum_.set({0.125}, 0);
    scratch_.fill(kNoNumber);
    run("vbl_sum_squares", [this] { return sum_squares(); }, {{"x", &gradient_}}, &comparison);
    long double exact = 0.125L;
    for (const float x : gradient_.get()) exact += static_cast<long double>(x) * x;
    comparison.near("sum", 0, sum_.get()[0], static_cast<double>(exact), static_cast<double>(exact));
    return comparison.finding();
  }

  vbl_status clip() { return vbl_clip(stream_, sum_.data(), kMaxNorm, clipped_step_.data()); }

  Finding check_clip() {
    Comparison comparison(kFloat32, "all its roundings");
    AdamwStep expected = clipped_step_.get()[0];
    sum_.set({40.0}, 0);
    expected.gradient_norm = expected.clip_factor = NAN;
    clipped_step_.set({expected}, 0);
    run("vbl_clip", [this] { return clip(); }, {{"sum", &sum_}}, &comparison);
    const AdamwStep found = clipped_step_.get()[0];
    const double norm = std::sqrt(40.0) * expected.gradient_scale, factor = kMaxNorm / (norm + 1e-6);
    comparison.near("gradient_norm", 0, found.gradient_norm, norm, norm);
    comparison.near("clip_factor", 0, found.clip_factor, factor, 3 * factor);
    expected.gradient_norm = found.gradient_norm;
    expected.clip_factor = found.clip_factor;
    comparison.near("rest of step", 0, std::memcmp(&found, &expected, sizeof found), 0, 0);

    sum_.set({0.01}, 0);  // a norm below the greatest that is let through
    run("vbl_clip", [this] { return clip(); }, {{"sum", &sum_}}, &comparison);
    comparison.near("clip_factor", 0, clipped_step_.get()[0].clip_factor, 1, 0);
    return comparison.finding();
  }

  static constexpr float kMaxNorm = 1;

  vbl_stream *stream_;
  Array<float> parameter_, gradient_, exp_avg_, exp_avg_sq_;
  Array<double> sum_;
  Array<AdamwStep> step_, clipped_step_;
  Array<char> scratch_;
};

}  // namespace

std::unique_ptr<Cases> adamw_cases(vbl_stream *stream, const Shape &shape, Random &random) {
  return std::make_unique<AdamwCases>(stream, shape, random);
}

}  // namespace bench
