// The low-rank branches of one layer and of two that read the same x, delta weights and their merging.
#include <cmath>

#include "cases.h"
#include "numbers.h"

namespace bench {
namespace {

// Sums of products, and the magnitude that their rounding is measured against: that of the terms without their signs.
struct Sums {
  std::vector<double> exact, magnitude;
  explicit Sums(size_t n) : exact(n), magnitude(n) {}
  explicit Sums(const std::vector<double> &begin) : exact(begin), magnitude(begin.size()) {
    for (size_t i = 0; i < begin.size(); ++i) magnitude[i] = std::fabs(begin[i]);
  }
  void add(size_t at, double term) { add(at, term, std::fabs(term)); }
  void add(size_t at, double term, double term_magnitude) {
    exact[at] += term;
    magnitude[at] += term_magnitude;
  }
  // Takes out what the sums began with.
  void subtract(const std::vector<double> &begin) {
    for (size_t i = 0; i < begin.size(); ++i) {
      exact[i] -= begin[i];
      magnitude[i] -= std::fabs(begin[i]);
    }
  }
};

std::vector<double> widened(const Array<float> &array) {
  const std::vector<float> values = array.get();
  return {values.begin(), values.end()};
}

class LowRankCases : public Cases {
 public:
  LowRankCases(vbl_stream *s, const Shape &sh, Random &random)
      : stream_(s), shape_(sh), step_(s, std::vector<vbl_step>{keys(random)}),
        mask_(s, sh.layer.tokens * sh.layer.in_features, sh.shift),
        delta_(s, sh.layer.in_features * sh.layer.out_features, sh.shift) {
    memory_ = {{"step", &step_}, {"mask", &mask_}, {"delta", &delta_}};
    const Layer &layer = sh.layer;
    const double in = static_cast<double>(layer.in_features), out = static_cast<double>(layer.out_features);
    const double tokens = static_cast<double>(layer.tokens), r = layer.r, weights = in * out;
    const bool all_dtypes = vbl_stream_device(s) != VBL_DEVICE_CPU;  // the CPU's products are float32 alone
    for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
      const char *name = name_of(dtype);
      for (const int32_t members : {1, kPair}) {
        if (members > 1 && dtype != VBL_FLOAT32 && !all_dtypes) continue;
        layers_.push_back(std::make_unique<Arrays>(s, sh, dtype, members, random));
        Arrays *a = layers_.back().get();
        a->add_to(memory_);
        const double width = dtype == VBL_FLOAT32 ? 4 : 2, ranks = r * members, outs = out * members;
        const double factors = static_cast<double>(a->a.bytes() + a->bt.bytes()), projected = 4 * tokens * ranks;
        if (dtype == VBL_FLOAT32 || all_dtypes) {
          const char *group = members > 1 ? "pair" : "-";
          cases_.push_back({"lowrank_forward", name, group, width * tokens * (in + 2 * outs) + factors + projected,
                            dtype != VBL_FLOAT16, [=] { return forward(*a); }, [=] { return check_forward(*a); }});
          cases_.push_back({"lowrank_backward", name, group,
                            width * tokens * (3 * in + outs) + factors + 2 * projected + 8 * ranks * (in + out),
                            dtype != VBL_FLOAT16, [=] { return backward(*a); }, [=] { return check_backward(*a); }});
        }
        if (members > 1) continue;
        for (const bool conv1d : {false, true}) {
          cases_.push_back({"lowrank_merge", name, conv1d ? "conv1d" : "-", 2 * width * weights + factors, false,
                            [=] { return merge(*a, conv1d); }, [=] { return check_merge(*a, conv1d); }});
        }
      }
    }
    Arrays *a = layers_.front().get();
    cases_.push_back({"lowrank_delta", "float32", "-", 4 * weights + 4 * r * (in + out), false,
                      [=] { return delta(*a, false); }, [=] { return check_delta(*a, false); }});
    cases_.push_back({"lowrank_delta", "float32", "conv1d", 4 * weights + 4 * r * (in + out), false,
                      [=] { return delta(*a, true); }, [=] { return check_delta(*a, true); }});
    cases_.push_back({"dropout_mask", "float32", "-", 4 * tokens * in, false, [this] { return draw(); },
                      [this] { return check_mask(); }});
  }

 private:
  static constexpr int32_t kPair = 2;

  // Layers, `members` of them, that read the same x and whose y are blocks of columns of one matrix; activations and
  // weights, those of the first layer, have one dtype. Other matrices of the members lie one after the other.
  struct Arrays {
    int32_t dtype, members;
    vbl_lowrank lowrank;
    Numbers x, dy, a, bt, weight, y, dx;
    Array<float> p, q, da, dbt;
    Array<char> scratch;

    Arrays(vbl_stream *s, const Shape &sh, int32_t type, int32_t of, Random &random)
        : dtype(type), members(of), lowrank(lowrank_of(sh, type, of)),
          x(s, sh.layer.tokens * sh.layer.in_features, type, sh.shift, random, 1),
          dy(s, of * sh.layer.tokens * sh.layer.out_features, type, sh.shift, random, 1e-3f),
          a(s, of * sh.layer.r * sh.layer.in_features, lowrank.factor_dtype, sh.shift, random, 0.02f),
          bt(s, of * sh.layer.r * sh.layer.out_features, lowrank.factor_dtype, sh.shift, random, 0.02f),
          weight(s, sh.layer.in_features * sh.layer.out_features, type, sh.shift, random, 0.02f),
          y(s, of * sh.layer.tokens * sh.layer.out_features, type, sh.shift, random, 1),
          dx(s, sh.layer.tokens * sh.layer.in_features, type, sh.shift, random, 1e-3f),
          p(s, of * sh.layer.tokens * sh.layer.r, sh.shift), q(s, p.size(), sh.shift),
          da(s, of * sh.layer.r * sh.layer.in_features, sh.shift),
          dbt(s, of * sh.layer.r * sh.layer.out_features, sh.shift), scratch(s, scratch_bytes(s)) {
      fill_normal(p, random, 0.3f);
      da.clear();
      dbt.clear();
    }

    // Where the device lacks this dtype, none.
    int64_t scratch_bytes(vbl_stream *stream) const {
      const int64_t bytes = vbl_lowrank_scratch_bytes(stream, &lowrank);
      return bytes < 0 ? 0 : bytes;
    }

    std::vector<vbl_lowrank_matrices> matrices() {
      const int64_t out_bytes = lowrank.member[0].out_features * (dtype == VBL_FLOAT32 ? 4 : 2);
      std::vector<vbl_lowrank_matrices> of;
      for (int32_t m = 0; m < members; ++m)
        of.push_back({a.data() + m * (a.size() / members), bt.data() + m * (bt.size() / members),
                      p.data() + m * (p.size() / members), y.data() + m * out_bytes, dy.data() + m * out_bytes,
                      q.data() + m * (q.size() / members), da.data() + m * (da.size() / members),
                      dbt.data() + m * (dbt.size() / members)});
      return of;
    }

    void add_to(NamedMemory &memory) {
      const std::pair<const char *, Memory *> all[] = {
          {"x", &x},   {"dy", &dy}, {"a", &a}, {"bt", &bt}, {"weight", &weight}, {"y", &y},
          {"dx", &dx}, {"p", &p},   {"q", &q}, {"da", &da}, {"dbt", &dbt},       {"scratch", &scratch}};
      memory.insert(memory.end(), std::begin(all), std::end(all));
    }
  };

  static vbl_lowrank lowrank_of(const Shape &shape, int32_t dtype, int32_t members) {
    const Layer &l = shape.layer;
    const int32_t factors = l.narrow_factors ? dtype : int32_t{VBL_FLOAT32};
    vbl_lowrank lowrank = {l.tokens, l.in_features, 0, 1, l.dropout, dtype, factors, members, {}};
    for (int32_t m = 0; m < members; ++m)
      lowrank.member[m] = {l.out_features, members * l.out_features, l.r, 3 + static_cast<uint32_t>(m), 0.5f};
    return lowrank;
  }

  static vbl_lowrank_update update_of(const Arrays &arrays, bool conv1d) {
    const vbl_lowrank &l = arrays.lowrank;
    const vbl_lowrank_member &m = l.member[0];
    return {l.in_features, m.out_features, m.r, l.factor_dtype, m.scaling, conv1d};
  }

  static vbl_step keys(Random &random) {
    vbl_step step = {};
    step.step = 100;
    step.seed = uint64_t{random()} << 32 | random();
    step.micro_batch = 2;
    return step;
  }

  vbl_status forward(Arrays &a) {
    const std::vector<vbl_lowrank_matrices> of = a.matrices();
    return vbl_lowrank_forward(stream_, &a.lowrank, step_.data(), a.x.data(), of.data());
  }

  vbl_status backward(Arrays &a) { return backward(a, a.dx.data()); }
  vbl_status backward(Arrays &a, void *dx) {
    const std::vector<vbl_lowrank_matrices> of = a.matrices();
    return vbl_lowrank_backward(stream_, &a.lowrank, step_.data(), a.x.data(), of.data(), dx, a.scratch.data(),
                                a.scratch.bytes());
  }

  // conv1d: weights are [in, out].
  vbl_status delta(Arrays &a, bool conv1d) {
    const vbl_lowrank_update update = update_of(a, conv1d);
    return vbl_lowrank_delta(stream_, &update, a.a.data(), a.bt.data(), delta_.data());
  }

  // Merges and takes out in turn.
  vbl_status merge(Arrays &a, bool conv1d) {
    sign_ = -sign_;
    const vbl_lowrank_update update = update_of(a, conv1d);
    return vbl_lowrank_merge(stream_, &update, sign_, a.a.data(), a.bt.data(), a.weight.data(), a.dtype);
  }

  vbl_status draw() {
    const vbl_lowrank lowrank = lowrank_of(shape_, VBL_FLOAT32, 1);
    return vbl_dropout_mask(stream_, &lowrank, 0, step_.data(), mask_.data());
  }

  std::vector<float> exact_mask(size_t member) const {
    return reference::dropout_mask(lowrank_of(shape_, VBL_FLOAT32, kPair), member, step_.get()[0]);
  }

  Finding check_mask() {
    mask_.fill(kNoNumber);
    Comparison comparison(0, "exact");
    run("vbl_dropout_mask", [this] { return draw(); }, {{"step", &step_}}, &comparison);
    const std::vector<float> exact = exact_mask(0), found = mask_.get();
    for (size_t i = 0; i < exact.size(); ++i) comparison.near("mask", static_cast<int64_t>(i), found[i], exact[i], 0);
    return comparison.finding();
  }

  // Of the at most 256 roundings that a number passes on its way through float32 sums, those up and those down leave
  // about sqrt(256) (Higham and Mary, A new approach to probabilistic rounding error analysis, 2019); then its dtype's.
  static Comparison products() { return Comparison(16 * kFloat32, "float32 sums"); }
  static void compare(Comparison &comparison, const char *name, const std::vector<double> &found, const Sums &sums,
                      int32_t dtype, int32_t roundings = 1) {
    const double stored = dtype == VBL_FLOAT32 ? 0 : rounding(dtype), smallest = smallest_step(dtype);
    for (size_t i = 0; i < found.size(); ++i) {
      // What is rounded between two additions may be as much as the terms, and not the sum.
      const double rounded = std::fabs(sums.exact[i]) + (roundings - 1) * sums.magnitude[i];
      comparison.near(name, static_cast<int64_t>(i), found[i], sums.exact[i],
                      sums.magnitude[i] + (stored * rounded + roundings * smallest) / comparison.bound());
    }
  }

  Finding check_forward(Arrays &arrays) {
    const size_t tokens = static_cast<size_t>(shape_.layer.tokens), in = static_cast<size_t>(shape_.layer.in_features);
    const size_t out = static_cast<size_t>(shape_.layer.out_features), r = static_cast<size_t>(shape_.layer.r);
    const size_t members = static_cast<size_t>(arrays.members);
    Sums p(members * tokens * r), y(arrays.y.values());
    arrays.p.fill(kNoNumber);
    Comparison comparison = products();
    run(
        "vbl_lowrank_forward", [&] { return forward(arrays); },
        {{"step", &step_}, {"x", &arrays.x}, {"a", &arrays.a}, {"bt", &arrays.bt}}, &comparison);
    const std::vector<double> x = arrays.x.values(), a = arrays.a.values(), bt = arrays.bt.values();
    const double scaling = arrays.lowrank.member[0].scaling;
    for (size_t m = 0; m < members; ++m) {
      const std::vector<float> mask = exact_mask(m);
      for (size_t t = 0; t < tokens; ++t)
        for (size_t k = m * r; k < (m + 1) * r; ++k) {  // of all members' ranks
          const size_t at = m * tokens * r + t * r + k - m * r;
          for (size_t j = 0; j < in; ++j) p.add(at, mask[t * in + j] * x[t * in + j] * a[k * in + j]);
          for (size_t o = 0; o < out; ++o) {
            const double factor = scaling * bt[k * out + o];
            y.add((t * members + m) * out + o, factor * p.exact[at], std::fabs(factor) * p.magnitude[at]);
          }
        }
    }
    compare(comparison, "p", widened(arrays.p), p, VBL_FLOAT32);
    compare(comparison, "y", arrays.y.values(), y, arrays.dtype);
    return comparison.finding();
  }

  Finding check_backward(Arrays &arrays) {
    const size_t tokens = static_cast<size_t>(shape_.layer.tokens), in = static_cast<size_t>(shape_.layer.in_features);
    const size_t out = static_cast<size_t>(shape_.layer.out_features), r = static_cast<size_t>(shape_.layer.r);
    const std::vector<double> da_before = widened(arrays.da), dbt_before = widened(arrays.dbt);
    const size_t members = static_cast<size_t>(arrays.members);
    Sums q(members * tokens * r), dx(arrays.dx.values()), da(da_before), dbt(dbt_before);
    arrays.q.fill(kNoNumber);
    arrays.scratch.fill(kNoNumber);
    Comparison comparison = products();
    NamedMemory inputs = {{"step", &step_}, {"x", &arrays.x},   {"dy", &arrays.dy},
                          {"a", &arrays.a}, {"bt", &arrays.bt}, {"p", &arrays.p}};
    run("vbl_lowrank_backward", [&] { return backward(arrays); }, inputs, &comparison);
    const std::vector<double> x = arrays.x.values(), dy = arrays.dy.values(), a = arrays.a.values();
    const std::vector<double> bt = arrays.bt.values(), p = widened(arrays.p);
    const double scaling = arrays.lowrank.member[0].scaling;
    for (size_t m = 0; m < members; ++m) {
      const std::vector<float> mask = exact_mask(m);
      for (size_t t = 0; t < tokens; ++t)
        for (size_t k = m * r; k < (m + 1) * r; ++k) {  // of all members' ranks
          const size_t at = m * tokens * r + t * r + k - m * r;
          for (size_t o = 0; o < out; ++o) {
            const double of_y = dy[(t * members + m) * out + o];
            q.add(at, scaling * of_y * bt[k * out + o]);
            dbt.add(k * out + o, scaling * p[at] * of_y);
          }
          for (size_t j = 0; j < in; ++j) {
            const double dropped_a = mask[t * in + j] * a[k * in + j], dropped_x = mask[t * in + j] * x[t * in + j];
            dx.add(t * in + j, dropped_a * q.exact[at], std::fabs(dropped_a) * q.magnitude[at]);
            da.add(k * in + j, dropped_x * q.exact[at], std::fabs(dropped_x) * q.magnitude[at]);
          }
        }
    }
    const auto compare_factors = [&] {
      compare(comparison, "q", widened(arrays.q), q, VBL_FLOAT32);
      compare(comparison, "da", widened(arrays.da), da, VBL_FLOAT32);
      compare(comparison, "dbt", widened(arrays.dbt), dbt, VBL_FLOAT32);
    };
    compare(comparison, "dx", arrays.dx.values(), dx, arrays.dtype, arrays.members);
    compare_factors();

    // Once more, as in the lowest layer, which has no use for dx.
    inputs.emplace_back("dx", &arrays.dx);
    arrays.da.clear();
    arrays.dbt.clear();
    arrays.q.fill(kNoNumber);
    arrays.scratch.fill(kNoNumber);
    run("vbl_lowrank_backward", [&] { return backward(arrays, nullptr); }, inputs, &comparison);
    da.subtract(da_before);
    dbt.subtract(dbt_before);
    compare_factors();
    return comparison.finding();
  }

  // to += sign · scaling · B A.
  void add_update(const Arrays &arrays, bool conv1d, double sign, Sums &to) const {
    const std::vector<double> a = arrays.a.values(), bt = arrays.bt.values();
    const std::vector<double> &left = conv1d ? a : bt, &right = conv1d ? bt : a;
    const size_t r = static_cast<size_t>(shape_.layer.r), rows = left.size() / r, columns = right.size() / r;
    for (size_t row = 0; row < rows; ++row)
      for (size_t i = 0; i < r; ++i) {
        const double factor = sign * arrays.lowrank.member[0].scaling * left[i * rows + row];
        const double *of_rank = right.data() + i * columns;
        for (size_t c = 0; c < columns; ++c) to.add(row * columns + c, factor * of_rank[c]);
      }
  }

  static void compare_updated(const char *name, const std::vector<double> &found, const Sums &sums, int32_t dtype,
                              Comparison *comparison) {
    const double smallest = smallest_step(dtype);
    const double cancel = 1e-13 / comparison->bound();  // float64's own rounding
    for (size_t i = 0; i < found.size(); ++i)
      comparison->near(name, static_cast<int64_t>(i), found[i], sums.exact[i],
                       std::fabs(sums.exact[i]) + cancel * sums.magnitude[i] + smallest / comparison->bound());
  }

  Finding check_delta(Arrays &arrays, bool conv1d) {
    Sums exact(static_cast<size_t>(delta_.size()));
    delta_.fill(kNoNumber);
    Comparison comparison(kFloat32, "one rounding");
    run(
        "vbl_lowrank_delta", [&] { return delta(arrays, conv1d); }, {{"a", &arrays.a}, {"bt", &arrays.bt}},
        &comparison);
    add_update(arrays, conv1d, 1, exact);
    compare_updated("delta", widened(delta_), exact, VBL_FLOAT32, &comparison);
    return comparison.finding();
  }

  Finding check_merge(Arrays &arrays, bool conv1d) {
    Sums exact(arrays.weight.values());
    Comparison comparison(rounding(arrays.dtype), "one rounding");
    run(
        "vbl_lowrank_merge", [&] { return merge(arrays, conv1d); }, {{"a", &arrays.a}, {"bt", &arrays.bt}},
        &comparison);
    add_update(arrays, conv1d, sign_, exact);
    compare_updated("weight", arrays.weight.values(), exact, arrays.dtype, &comparison);
    return comparison.finding();
  }

  vbl_stream *stream_;
  Shape shape_;
  Array<vbl_step> step_;
  Array<float> mask_, delta_;
  std::vector<std::unique_ptr<Arrays>> layers_;
  int32_t sign_ = -1;
};

}  // namespace

std::unique_ptr<Cases> lowrank_cases(vbl_stream *stream, const Shape &shape, Random &random) {
  return std::make_unique<LowRankCases>(stream, shape, random);
}

}  // namespace bench
