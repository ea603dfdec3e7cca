// All ops that have a CUDA side, on inputs of their own, with what each of them writes: to be compared bit for bit
// between orders of execution, devices, and graphs.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "admixture/reference.h"
#include "bench/active_set.h"
#include "bench/adamw_step.h"
#include "device.h"
#include "lowrank/stored.h"

namespace every_op {

using reference::Shape;

// What a run has written, by name.
class Outputs {
 public:
  explicit Outputs(vbl_stream *stream) : stream_(stream) {}

  // Copies, in the stream, what the array then holds: to memory that only the first run allocates, so that another can
  // be captured.
  template <typename T>
  void add(const std::string &name, const check::Array<T> &array) {
    const int64_t bytes = array.size() * static_cast<int64_t>(sizeof(T));
    if (next_ == all_.size()) all_.emplace_back(name, check::Array<char>(stream_, bytes, 0));
    CHECK(all_[next_].first == name);
    CHECK_STATUS(VBL_OK, vbl_memcpy(stream_, all_[next_++].second.data(), array.data(), bytes));
  }
  // The next run begins.
  void restart() { next_ = 0; }
  // What no run has written.
  void clear() {
    for (auto &[name, copy] : all_) copy.set(std::vector<char>(static_cast<size_t>(copy.size()), 0x5A));
  }
  // The name of the first that differs; "" if none does.
  std::string difference(const Outputs &other) const {
    if (all_.size() != other.all_.size()) return "their number";
    for (size_t i = 0; i < all_.size(); ++i)
      if (all_[i].first != other.all_[i].first || all_[i].second.get() != other.all_[i].second.get())
        return all_[i].first;
    return "";
  }

 private:
  vbl_stream *stream_;
  std::vector<std::pair<std::string, check::Array<char>>> all_;
  size_t next_ = 0;
};

// Arrays that can be set to what they held at first.
class Arrays {
 public:
  Arrays(vbl_stream *stream, int64_t shift) : stream_(stream), shift_(shift) {}

  // `shift` elements behind a 16-byte boundary.
  template <typename T>
  check::Array<T> of(const std::vector<T> &values) {
    return remember(check::Array<T>(stream_, values, shift_), values);
  }
  template <typename T>
  check::Array<T> of(int64_t n, T value) {
    return of(std::vector<T>(static_cast<size_t>(n), value));
  }
  check::Array<unsigned char> of(const check::Stored &values) {
    return remember(values.on(stream_, shift_), values.bytes());
  }
  void reset() const {
    for (const Initial &array : all_)
      CHECK_STATUS(VBL_OK,
                   vbl_memcpy(stream_, array.memory, array.bytes.data(), static_cast<int64_t>(array.bytes.size())));
    CHECK_STATUS(VBL_OK, vbl_stream_synchronize(stream_));
  }

 private:
  struct Initial {
    void *memory;
    std::vector<char> bytes;
  };

  template <typename T>
  check::Array<T> remember(check::Array<T> array, const std::vector<T> &values) {
    const char *bytes = reinterpret_cast<const char *>(values.data());
    all_.push_back({array.data(), std::vector<char>(bytes, bytes + values.size() * sizeof(T))});
    return array;
  }

  vbl_stream *stream_;
  int64_t shift_;
  std::vector<Initial> all_;
};

// An active set that holds what no op has written.
struct ActiveSet : reference::ActiveSet<check::Array> {
  ActiveSet(Arrays &arrays, const Shape &shape, int32_t capacity, int32_t candidates)
      : reference::ActiveSet<check::Array>([&](int64_t n, auto value) { return arrays.of(n, value); }, shape.rows,
                                           capacity, candidates) {}

  void add_to(Outputs &outputs, const std::string &op) const {
    for_each([&](const char *name, const auto &array) { outputs.add(op + "'s " + name, array); });
  }
};

// Inputs of an optimizer step, on the host.
struct Input {
  Shape shape;
  std::vector<float> logits, exp_avg, exp_avg_sq, bank, bank_exp_avg, bank_exp_avg_sq, dpacked;
  std::vector<int32_t> slots, selected, other;

  Input(check::Random &random, const Shape &s) : shape(s) {
    const int64_t n = shape.rows * shape.num_vectors, m = int64_t{shape.num_vectors} * shape.vector_length;
    logits = check::normals(random, n, 0.5f);
    exp_avg.assign(static_cast<size_t>(n), 0.0f);
    exp_avg_sq = exp_avg;
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = std::round(logits[i] * 8) * 0.125f;                       // ties
      if (i % static_cast<size_t>(shape.num_vectors) == 1) logits[i] += 4;  // a vector that every row selects
      if (random.between(0, 9) == 0) exp_avg[i] = random.normal(), exp_avg_sq[i] = std::fabs(random.normal());
    }
    bank = check::normals(random, m, 0.02f);
    bank_exp_avg = check::normals(random, m, 0.01f);
    bank_exp_avg_sq = check::normals(random, m, 0.01f);
    for (float &x : bank_exp_avg_sq) x = std::fabs(x);
    dpacked = check::normals(random, shape.rows * shape.vector_length, 1.0f);
    // Where all weights are 1, rows of ±2^40 cancel, and what is small beside them is rounded as the order has it.
    if (shape.topk == 1)
      for (size_t i = 0; i < dpacked.size(); ++i) dpacked[i] += std::array<float, 4>{0, 0x1p40f, 0, -0x1p40f}[i % 4];
    slots = reference::permutation(random, shape.rows);

    const vbl_admixture admixture = shape.admixture();
    selected.resize(static_cast<size_t>(shape.rows * shape.topk));
    std::vector<float> weights(selected.size());
    int64_t bad_row = -1;
    CHECK_STATUS(VBL_OK,
                 vbl_select(check::CpuStream(), &admixture, logits.data(), selected.data(), weights.data(), &bad_row));
    other = selected;  // but one of the last row is not among the selected ones
    int32_t &changed = other[other.size() - static_cast<size_t>(shape.topk)];
    while (std::find(selected.end() - shape.topk, selected.end(), changed) != selected.end())
      changed = (changed + 1) % shape.num_vectors;
  }
};

// All ops of an optimizer step, each with what the ones before it have made.
class Step {
 public:
  // Scratch memory is filled with the garbage.
  Step(vbl_stream *stream, const Input &input, int64_t shift, char garbage)
      : stream_(stream), shape(input.shape), arrays(stream, shift), slots(stream, input.slots),
        selected(stream, input.selected), other(stream, input.other), admixture(shape.admixture(slots.data())),
        logits(arrays.of(input.logits)), exp_avg(arrays.of(input.exp_avg)), exp_avg_sq(arrays.of(input.exp_avg_sq)),
        weights(arrays.of(shape.rows * shape.topk, NAN)), indices(arrays.of(shape.rows * shape.topk, -1)),
        bad_row(arrays.of(1, int64_t{-2})), bank(arrays.of(input.bank)), bank_exp_avg(arrays.of(input.bank_exp_avg)),
        bank_exp_avg_sq(arrays.of(input.bank_exp_avg_sq)), packed(arrays.of(shape.rows * shape.vector_length, NAN)),
        half(arrays.of(shape.rows * shape.vector_length, uint16_t{0xFFFF})), dpacked(arrays.of(input.dpacked)),
        dlogits(arrays.of(shape.rows * shape.topk, NAN)), dbank(arrays.of(bank.size(), NAN)),
        stored(arrays.of(input.logits)), stored_exp_avg(arrays.of(logits.size(), NAN)),
        stored_exp_avg_sq(arrays.of(logits.size(), NAN)), sum(arrays.of(1, 0.0)),
        constants(arrays.of(std::vector<reference::AdamwStep>{make_constants()})),
        backward_scratch(stream, vbl_admixture_backward_scratch_bytes(stream, &admixture), garbage),
        sum_scratch(stream, vbl_sum_squares_scratch_bytes(stream, bank.size()), garbage),
        active_scratch(stream, vbl_active_scratch_bytes(stream, &admixture), garbage),
        loaded(arrays, shape, shape.num_vectors, shape.topk + 1), active(arrays, shape, shape.num_vectors, shape.topk),
        full(arrays, shape, shape.topk, shape.topk) {}

  // As before the first run.
  void reset() const { arrays.reset(); }

  // Enters the stream and waits for nothing.
  void run(Outputs &outputs) const {
    vbl_stream *const stream = stream_;
    const auto add_selection = [&](const std::string &op) {
      outputs.add(op + "'s indices", indices);
      outputs.add(op + "'s weights", weights);
      outputs.add(op + "'s bad_row", bad_row);
    };
    CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), bad_row.data()));
    add_selection("select");

    CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(),
                                     VBL_FLOAT32));
    outputs.add("packed", packed);
    CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), half.data(),
                                     VBL_BFLOAT16));
    outputs.add("packed as bfloat16", half);
    CHECK_STATUS(VBL_OK, vbl_convert(stream, packed.size(), packed.data(), VBL_FLOAT32, half.data(), VBL_FLOAT16));
    outputs.add("packed, converted", half);

    CHECK_STATUS(
        VBL_OK, vbl_admixture_backward(stream, &admixture, bank.data(), indices.data(), weights.data(), dpacked.data(),
                                       dlogits.data(), dbank.data(), backward_scratch.data(), backward_scratch.size()));
    outputs.add("dlogits", dlogits);
    outputs.add("dbank", dbank);

    CHECK_STATUS(VBL_OK, vbl_sum_squares(stream, dbank.size(), dbank.data(), sum.data(), sum_scratch.data(),
                                         sum_scratch.size()));
    CHECK_STATUS(VBL_OK, vbl_clip(stream, sum.data(), 0.5f, constants.data()));
    outputs.add("sum of squares", sum);
    outputs.add("step", constants);

    CHECK_STATUS(VBL_OK, vbl_adamw(stream, bank.size(), constants.data(), constants.data()->group, bank.data(),
                                   dbank.data(), bank_exp_avg.data(), bank_exp_avg_sq.data()));
    outputs.add("adamw's bank", bank);
    outputs.add("adamw's exp_avg", bank_exp_avg);
    outputs.add("adamw's exp_avg_sq", bank_exp_avg_sq);

    // Lists of other lengths, then a step with them, read through the dense arrays that they stand for.
    CHECK_STATUS(VBL_OK, vbl_active_load(stream, &admixture, &loaded.active, logits.data(), exp_avg.data(),
                                         exp_avg_sq.data(), active_scratch.data(), active_scratch.size()));
    loaded.add_to(outputs, "active_load");
    CHECK_STATUS(VBL_OK, vbl_active_copy(stream, &admixture, &loaded.active, &active.active));
    active.add_to(outputs, "active_copy");
    active_select(active);
    active.add_to(outputs, "adamw_active_select");
    add_selection("adamw_active_select");
    CHECK_STATUS(VBL_OK, vbl_active_store(stream, &admixture, &active.active, stored.data(), stored_exp_avg.data(),
                                          stored_exp_avg_sq.data()));
    outputs.add("active_store's logits", stored);
    outputs.add("active_store's exp_avg", stored_exp_avg);
    outputs.add("active_store's exp_avg_sq", stored_exp_avg_sq);

    // A step for which the last row's list has no room.
    CHECK_STATUS(VBL_OK, vbl_active_load(stream, &admixture, &full.active, logits.data(), nullptr, nullptr,
                                         active_scratch.data(), active_scratch.size()));
    for (const check::Array<int32_t> *chosen : {&selected, &other}) {
      set_indices(*chosen);
      active_select(full);
      full.add_to(outputs, "adamw_active_select on a full list");
    }

    set_indices(selected);
    CHECK_STATUS(VBL_OK, vbl_adamw_select(stream, &admixture, constants.data(), constants.data()->group, logits.data(),
                                          dlogits.data(), exp_avg.data(), exp_avg_sq.data(), indices.data(),
                                          weights.data(), bad_row.data()));
    add_selection("adamw_select");
    outputs.add("adamw_select's logits", logits);
    outputs.add("adamw_select's exp_avg", exp_avg);
    outputs.add("adamw_select's exp_avg_sq", exp_avg_sq);
  }

  // Whether the list without room was found, after a run.
  bool found_full_list() const { return full.max_count.get()[0] == shape.topk + 1; }

 private:
  static reference::AdamwStep make_constants() {
    reference::AdamwStep constants = {};
    constants.gradient_scale = 0.25f;
    CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&constants.group[0], 3, 1e-2, 0.9, 0.999, 1e-8, 0));
    return constants;
  }
  void set_indices(const check::Array<int32_t> &values) const {
    CHECK_STATUS(VBL_OK, vbl_memcpy(stream_, indices.data(), values.data(),
                                    values.size() * static_cast<int64_t>(sizeof(int32_t))));
  }
  void active_select(const ActiveSet &set) const {
    CHECK_STATUS(VBL_OK,
                 vbl_adamw_active_select(stream_, &admixture, &set.active, constants.data(), constants.data()->group,
                                         logits.data(), dlogits.data(), indices.data(), weights.data(), bad_row.data(),
                                         active_scratch.data(), active_scratch.size()));
  }

  vbl_stream *stream_;
  Shape shape;
  Arrays arrays;
  check::Array<int32_t> slots, selected, other;
  vbl_admixture admixture;
  check::Array<float> logits, exp_avg, exp_avg_sq, weights;
  check::Array<int32_t> indices;
  check::Array<int64_t> bad_row;
  check::Array<float> bank, bank_exp_avg, bank_exp_avg_sq, packed;
  check::Array<uint16_t> half;
  check::Array<float> dpacked, dlogits, dbank, stored, stored_exp_avg, stored_exp_avg_sq;
  check::Array<double> sum;
  check::Array<reference::AdamwStep> constants;
  check::Array<char> backward_scratch, sum_scratch, active_scratch;
  ActiveSet loaded, active, full;
};

// A group of low-rank branches of one shape: a module and those after it by number.
struct LowRankShape {
  int64_t tokens, in, out;
  int32_t r, members;
  float dropout, scaling;
  int64_t first_token;
  int32_t dtype, factor_dtype;

  vbl_lowrank group() const {
    vbl_lowrank l = {tokens, in, 0, first_token, dropout, dtype, factor_dtype, members, {}};
    for (int32_t m = 0; m < members; ++m) l.member[m] = {out, 0, r, 5 + static_cast<uint32_t>(m), scaling};
    return l;
  }
  vbl_lowrank_update update() const { return {in, out, r, factor_dtype, scaling, 0}; }
};

// The low-rank ops. The members' matrices lie one after the other.
class LowRank {
 public:
  // Scratch memory is filled with the garbage.
  LowRank(vbl_stream *stream, const LowRankShape &shape, uint64_t seed, int64_t shift, char garbage)
      : stream_(stream), s(shape), l(s.group()), random(seed), arrays(stream, shift),
        x(numbers(s.tokens * s.in, s.dtype)), dx(numbers(s.tokens * s.in, s.dtype)),
        y(numbers(s.members * s.tokens * s.out, s.dtype)), dy(numbers(s.members * s.tokens * s.out, s.dtype)),
        a(numbers(s.members * s.r * s.in, s.factor_dtype)), bt(numbers(s.members * s.r * s.out, s.factor_dtype)),
        weight(numbers(s.in * s.out, s.dtype)), p(arrays.of(s.members * s.tokens * s.r, NAN)),
        q(arrays.of(s.members * s.tokens * s.r, NAN)), da(arrays.of(s.members * s.r * s.in, 1.0f)),
        dbt(arrays.of(s.members * s.r * s.out, 1.0f)), mask(arrays.of(s.tokens * s.in, NAN)),
        delta(arrays.of(s.in * s.out, NAN)), constants(arrays.of(std::vector<vbl_step>{make_constants(seed)})),
        scratch(stream, vbl_lowrank_scratch_bytes(stream, &l), garbage) {}

  // As before the first run.
  void reset() const { arrays.reset(); }

  // Enters the stream and waits for nothing.
  void run(Outputs &outputs) const {
    std::vector<vbl_lowrank_matrices> of;
    for (int32_t m = 0; m < s.members; ++m)
      of.push_back({at(a, m), at(bt, m), at(p, m), at(y, m), at(dy, m), at(q, m), at(da, m), at(dbt, m)});
    const vbl_lowrank_update update = s.update();
    CHECK_STATUS(VBL_OK, vbl_dropout_mask(stream_, &l, s.members - 1, constants.data(), mask.data()));
    CHECK_STATUS(VBL_OK, vbl_lowrank_forward(stream_, &l, constants.data(), x.data(), of.data()));
    CHECK_STATUS(VBL_OK, vbl_lowrank_backward(stream_, &l, constants.data(), x.data(), of.data(), dx.data(),
                                              scratch.data(), scratch.size()));
    CHECK_STATUS(VBL_OK, vbl_lowrank_delta(stream_, &update, a.data(), bt.data(), delta.data()));
    CHECK_STATUS(VBL_OK, vbl_lowrank_merge(stream_, &update, -1, a.data(), bt.data(), weight.data(), s.dtype));
    outputs.add("mask", mask);
    outputs.add("p", p);
    outputs.add("y", y);
    outputs.add("q", q);
    outputs.add("dx", dx);
    outputs.add("da", da);
    outputs.add("dbt", dbt);
    outputs.add("delta", delta);
    outputs.add("merged weight", weight);
  }

 private:
  template <typename T>
  T *at(const check::Array<T> &array, int32_t member) const {
    return array.data() + member * (array.size() / s.members);
  }
  check::Array<unsigned char> numbers(int64_t n, int32_t dtype) {
    return arrays.of(check::Stored(check::normals(random, n, 1.0f), dtype));
  }
  static vbl_step make_constants(uint64_t seed) {
    vbl_step constants = {};
    constants.seed = seed;
    return constants;
  }

  vbl_stream *stream_;
  LowRankShape s;
  vbl_lowrank l;
  check::Random random;
  Arrays arrays;
  check::Array<unsigned char> x, dx, y, dy, a, bt, weight;
  check::Array<float> p, q, da, dbt, mask, delta;
  check::Array<vbl_step> constants;
  check::Array<char> scratch;
};

// The shape of activations: [rows, columns] of a dtype.
struct ActivationShape {
  int64_t rows, columns;
  int32_t dtype;
};

// The ops around matrix products.
class Transformer {
 public:
  Transformer(vbl_stream *stream, const ActivationShape &shape, uint64_t seed, int64_t shift)
      : stream_(stream), s(shape), random(seed), arrays(stream, shift), joint(numbers(2 * s.rows * s.columns)),
        djoint(numbers(2 * s.rows * s.columns)), dout(numbers(s.rows * s.columns)), out(numbers(s.rows * s.columns)) {}

  // As before the first run.
  void reset() const { arrays.reset(); }

  // Enters the stream and waits for nothing.
  void run(Outputs &outputs) const {
    const int64_t width = s.columns * (s.dtype == VBL_FLOAT32 ? 4 : 2);  // gate and up are columns of one matrix
    CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(stream_, s.dtype, s.rows, s.columns, joint.data(), joint.data() + width,
                                              2 * s.columns, out.data(), 0));
    CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(stream_, s.dtype, s.rows, s.columns, joint.data(), joint.data() + width,
                                               2 * s.columns, dout.data(), 0, djoint.data(), djoint.data() + width,
                                               2 * s.columns));
    outputs.add("silu_mul", out);
    outputs.add("silu_mul's gradients", djoint);
  }

 private:
  check::Array<unsigned char> numbers(int64_t n) {
    return arrays.of(check::Stored(check::normals(random, n, 1.0f), s.dtype));
  }

  vbl_stream *stream_;
  ActivationShape s;
  check::Random random;
  Arrays arrays;
  check::Array<unsigned char> joint, djoint, dout, out;
};

}  // namespace every_op
