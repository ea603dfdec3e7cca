// Every op that has a CUDA side gives the same bits whatever the order in which threads and blocks come. On the SIMT
// host each run has an order of its own, of blocks, warps and lanes (native/simt/README.md); on a GPU nobody chooses
// it, and runs are just repeated. every_kernel.cmake finds the kernels that this test does not launch.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "admixture/reference.h"
#include "device.h"
#include "lowrank/stored.h"

using reference::Shape;

namespace {

constexpr uint64_t kOrders = 20;

// The seed of the SIMT host, where that is the device.
class Seed {
 public:
  Seed()
      : set_(reinterpret_cast<void (*)(uint64_t)>(dlsym(RTLD_DEFAULT, "simt_set_seed"))),
        get_(reinterpret_cast<uint64_t (*)()>(dlsym(RTLD_DEFAULT, "simt_get_seed"))),
        before_(get_ != nullptr ? get_() : 0) {}
  ~Seed() { set(before_); }
  void set(uint64_t seed) const {
    if (set_ != nullptr) set_(seed);
  }

 private:
  void (*set_)(uint64_t);
  uint64_t (*get_)();
  uint64_t before_;
};

// What a run has written, by name.
class Outputs {
 public:
  template <typename T>
  void add(std::string name, const check::Array<T> &array) {
    const std::vector<T> values = array.get();
    const char *bytes = reinterpret_cast<const char *>(values.data());
    all_.emplace_back(std::move(name), std::string(bytes, bytes + values.size() * sizeof(T)));
  }
  // The name of the first that differs; "" if none does.
  std::string difference(const Outputs &other) const {
    for (size_t i = 0; i < all_.size(); ++i)
      if (i >= other.all_.size() || all_[i] != other.all_[i]) return all_[i].first;
    return "";
  }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

// Calls run(outputs, garbage), which fills scratch memory with the garbage, in one order after another.
template <typename Run>
void same_in_every_order(const Run &run) {
  const Seed seed;
  Outputs expected;
  seed.set(0);
  run(expected, 0);
  for (uint64_t order = 1; order <= kOrders; ++order) {
    Outputs found;
    seed.set(order);
    run(found, static_cast<char>(37 * order));
    const std::string difference = expected.difference(found);
    if (!difference.empty())
      check::failed(__FILE__, __LINE__, "%s differs between SIMT_SEED=0 and %d", difference.c_str(),
                    static_cast<int>(order));
  }
}

// An active set that holds what no op has written.
struct ActiveSet {
  check::Array<int32_t> count, index, candidate_count, candidate_index, max_count;
  check::Array<float> logit, exp_avg, exp_avg_sq;
  vbl_active active;

  ActiveSet(vbl_stream *stream, const Shape &shape, int32_t capacity, int32_t candidates)
      : count(stream, shape.rows, -1),
        index(stream, shape.rows * capacity, -1),
        candidate_count(stream, shape.rows, -1),
        candidate_index(stream, shape.rows * candidates, -1),
        max_count(stream, 1, -1),
        logit(stream, shape.rows * capacity, NAN),
        exp_avg(stream, shape.rows * capacity, NAN),
        exp_avg_sq(stream, shape.rows * capacity, NAN),
        active{capacity,       candidates,        count.data(),           index.data(),           logit.data(),
               exp_avg.data(), exp_avg_sq.data(), candidate_count.data(), candidate_index.data(), max_count.data()} {}

  void add_to(Outputs &outputs, const std::string &op) const {
    outputs.add(op + "'s count", count);
    outputs.add(op + "'s index", index);
    outputs.add(op + "'s logit", logit);
    outputs.add(op + "'s exp_avg", exp_avg);
    outputs.add(op + "'s exp_avg_sq", exp_avg_sq);
    outputs.add(op + "'s candidate_count", candidate_count);
    outputs.add(op + "'s candidate_index", candidate_index);
    outputs.add(op + "'s max_count", max_count);
  }
};

// Inputs of an optimizer step, on the host.
struct Input {
  Shape shape;
  std::vector<float> logits, exp_avg, exp_avg_sq, bank, bank_exp_avg, bank_exp_avg_sq, dpacked;
  std::vector<int32_t> slots;

  Input(check::Random &random, const Shape &s) : shape(s) {
    const int64_t n = shape.rows * shape.num_vectors, m = int64_t{shape.num_vectors} * shape.vector_length;
    logits = check::normals(random, n, 0.5f);
    exp_avg.assign(static_cast<size_t>(n), 0.0f);
    exp_avg_sq = exp_avg;
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = std::round(logits[i] * 8) * 0.125f;                          // ties
      if (i % static_cast<size_t>(shape.num_vectors) == 1) logits[i] += 4;     // a vector that every row selects
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
  }
};

// All ops of an optimizer step, each with what the ones before it have made; arrays lie `shift` elements behind a
// 16-byte boundary.
void step(vbl_stream *stream, const Input &input, int64_t shift, Outputs &outputs, char garbage) {
  const Shape &shape = input.shape;
  const int64_t selected = shape.rows * shape.topk, bank_size = static_cast<int64_t>(input.bank.size());
  const check::Array<int32_t> slots(stream, input.slots);
  const vbl_admixture admixture = shape.admixture(slots.data());

  const check::Array<float> logits(stream, input.logits, shift), weights(stream, selected, NAN, shift);
  check::Array<int32_t> indices(stream, selected, -1, shift);
  const check::Array<int64_t> bad_row(stream, 1, -2);
  const auto add_selection = [&](const std::string &op) {
    outputs.add(op + "'s indices", indices);
    outputs.add(op + "'s weights", weights);
    outputs.add(op + "'s bad_row", bad_row);
  };
  CHECK_STATUS(VBL_OK,
               vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), bad_row.data()));
  add_selection("select");

  const check::Array<float> bank(stream, input.bank, shift);
  const check::Array<float> packed(stream, static_cast<int64_t>(input.dpacked.size()), NAN, shift);
  const check::Array<uint16_t> half(stream, packed.size(), 0xFFFF, shift);
  CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(),
                                   VBL_FLOAT32));
  outputs.add("packed", packed);
  CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), half.data(),
                                   VBL_BFLOAT16));
  outputs.add("packed as bfloat16", half);
  CHECK_STATUS(VBL_OK, vbl_convert(stream, packed.size(), packed.data(), VBL_FLOAT32, half.data(), VBL_FLOAT16));
  outputs.add("packed, converted", half);

  const check::Array<float> dpacked(stream, input.dpacked, shift), dlogits(stream, selected, NAN, shift);
  const check::Array<float> dbank(stream, bank_size, NAN, shift);
  const check::Array<char> backward_scratch(stream, vbl_admixture_backward_scratch_bytes(stream, &admixture), garbage);
  CHECK_STATUS(VBL_OK, vbl_admixture_backward(stream, &admixture, bank.data(), indices.data(), weights.data(),
                                              dpacked.data(), dlogits.data(), dbank.data(), backward_scratch.data(),
                                              backward_scratch.size()));
  outputs.add("dlogits", dlogits);
  outputs.add("dbank", dbank);

  vbl_step constants = {};
  constants.gradient_scale = 0.25f;
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&constants.group[0], 3, 1e-2, 0.9, 0.999, 1e-8, 0));
  const check::Array<vbl_step> step(stream, std::vector<vbl_step>{constants});
  const check::Array<double> sum(stream, 1, 0.0);
  const check::Array<char> sum_scratch(stream, vbl_sum_squares_scratch_bytes(stream, bank_size), garbage);
  CHECK_STATUS(VBL_OK, vbl_sum_squares(stream, bank_size, dbank.data(), sum.data(), sum_scratch.data(),
                                       sum_scratch.size()));
  CHECK_STATUS(VBL_OK, vbl_clip(stream, sum.data(), 0.5f, step.data()));
  outputs.add("sum of squares", sum);
  outputs.add("step", step);

  const check::Array<float> bank_exp_avg(stream, input.bank_exp_avg, shift);
  const check::Array<float> bank_exp_avg_sq(stream, input.bank_exp_avg_sq, shift);
  CHECK_STATUS(VBL_OK, vbl_adamw(stream, bank_size, step.data(), 0, bank.data(), dbank.data(), bank_exp_avg.data(),
                                 bank_exp_avg_sq.data()));
  outputs.add("adamw's bank", bank);
  outputs.add("adamw's exp_avg", bank_exp_avg);
  outputs.add("adamw's exp_avg_sq", bank_exp_avg_sq);

  // Lists of other lengths, then a step with them, read through the dense arrays that they stand for.
  const check::Array<float> exp_avg(stream, input.exp_avg, shift), exp_avg_sq(stream, input.exp_avg_sq, shift);
  const check::Array<char> active_scratch(stream, vbl_active_scratch_bytes(stream, &admixture), garbage);
  const ActiveSet loaded(stream, shape, shape.num_vectors, shape.topk + 1);
  const ActiveSet active(stream, shape, shape.num_vectors, shape.topk);
  CHECK_STATUS(VBL_OK, vbl_active_load(stream, &admixture, &loaded.active, logits.data(), exp_avg.data(),
                                       exp_avg_sq.data(), active_scratch.data(), active_scratch.size()));
  loaded.add_to(outputs, "active_load");
  CHECK_STATUS(VBL_OK, vbl_active_copy(stream, &admixture, &loaded.active, &active.active));
  active.add_to(outputs, "active_copy");
  const std::vector<int32_t> of_select = indices.get();
  CHECK_STATUS(VBL_OK, vbl_adamw_active_select(stream, &admixture, &active.active, step.data(), 0, logits.data(),
                                               dlogits.data(), indices.data(), weights.data(), bad_row.data(),
                                               active_scratch.data(), active_scratch.size()));
  active.add_to(outputs, "adamw_active_select");
  add_selection("adamw_active_select");
  const check::Array<float> stored(stream, input.logits), stored_exp_avg(stream, logits.size(), NAN);
  const check::Array<float> stored_exp_avg_sq(stream, logits.size(), NAN);
  CHECK_STATUS(VBL_OK, vbl_active_store(stream, &admixture, &active.active, stored.data(), stored_exp_avg.data(),
                                        stored_exp_avg_sq.data()));
  outputs.add("active_store's logits", stored);
  outputs.add("active_store's exp_avg", stored_exp_avg);
  outputs.add("active_store's exp_avg_sq", stored_exp_avg_sq);

  // A step for which the last row's list has no room.
  std::vector<int32_t> other = of_select;
  int32_t &changed = other[other.size() - static_cast<size_t>(shape.topk)];
  while (std::find(of_select.end() - shape.topk, of_select.end(), changed) != of_select.end())
    changed = (changed + 1) % shape.num_vectors;
  const ActiveSet full(stream, shape, shape.topk, shape.topk);
  CHECK_STATUS(VBL_OK, vbl_active_load(stream, &admixture, &full.active, logits.data(), nullptr, nullptr,
                                       active_scratch.data(), active_scratch.size()));
  for (const auto &chosen : {of_select, other}) {
    indices.set(chosen);
    CHECK_STATUS(VBL_OK, vbl_adamw_active_select(stream, &admixture, &full.active, step.data(), 0, logits.data(),
                                                 dlogits.data(), indices.data(), weights.data(), bad_row.data(),
                                                 active_scratch.data(), active_scratch.size()));
    full.add_to(outputs, "adamw_active_select on a full list");
  }
  CHECK(full.max_count.get()[0] == shape.topk + 1);

  indices.set(of_select);
  CHECK_STATUS(VBL_OK, vbl_adamw_select(stream, &admixture, step.data(), 0, logits.data(), dlogits.data(),
                                        exp_avg.data(), exp_avg_sq.data(), indices.data(), weights.data(),
                                        bad_row.data()));
  add_selection("adamw_select");
  outputs.add("adamw_select's logits", logits);
  outputs.add("adamw_select's exp_avg", exp_avg);
  outputs.add("adamw_select's exp_avg_sq", exp_avg_sq);
}

// The low-rank ops, on arrays that lie `shift` elements behind a 16-byte boundary.
void low_rank(vbl_stream *stream, const vbl_lowrank &l, uint64_t seed, int64_t shift, Outputs &outputs, char garbage) {
  check::Random random(seed);
  const auto numbers = [&](int64_t n, int32_t dtype) {
    return check::Stored(check::normals(random, n, 1.0f), dtype).on(stream, shift);
  };
  const int64_t in = l.tokens * l.in_features, out = l.tokens * l.out_features;
  const auto x = numbers(in, l.dtype), dx = numbers(in, l.dtype), y = numbers(out, l.dtype), dy = numbers(out, l.dtype);
  const auto a = numbers(l.r * l.in_features, l.factor_dtype), bt = numbers(l.r * l.out_features, l.factor_dtype);
  const auto weight = numbers(l.in_features * l.out_features, l.dtype);
  const check::Array<float> p(stream, l.tokens * l.r, NAN, shift), q(stream, l.tokens * l.r, NAN, shift);
  const check::Array<float> da(stream, l.r * l.in_features, 1.0f, shift), dbt(stream, l.r * l.out_features, 1.0f, shift);
  const check::Array<float> mask(stream, in, NAN, shift), delta(stream, l.in_features * l.out_features, NAN, shift);
  vbl_step keys = {};
  keys.seed = seed;
  const check::Array<vbl_step> step(stream, std::vector<vbl_step>{keys});
  const check::Array<char> scratch(stream, vbl_lowrank_scratch_bytes(stream, &l), garbage);
  CHECK_STATUS(VBL_OK, vbl_dropout_mask(stream, &l, step.data(), mask.data()));
  CHECK_STATUS(VBL_OK, vbl_lowrank_forward(stream, &l, step.data(), x.data(), a.data(), bt.data(), p.data(), y.data()));
  CHECK_STATUS(VBL_OK, vbl_lowrank_backward(stream, &l, step.data(), x.data(), dy.data(), a.data(), bt.data(), p.data(),
                                            q.data(), dx.data(), da.data(), dbt.data(), scratch.data(), scratch.size()));
  CHECK_STATUS(VBL_OK, vbl_lowrank_delta(stream, &l, 0, a.data(), bt.data(), delta.data()));
  CHECK_STATUS(VBL_OK, vbl_lowrank_merge(stream, &l, 1, -1, a.data(), bt.data(), weight.data(), l.dtype));
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

}  // namespace

TEST(optimizer_steps_are_the_same_in_every_order) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    const auto same = [&](const Shape &shape, int64_t shift) {
      const Input input(random, shape);
      same_in_every_order([&](Outputs &outputs, char garbage) { step(stream, input, shift, outputs, garbage); });
    };
    same({34, 900, 20, 4}, 0);
    same({260, 6, 3, 1}, 3);     // the kernels with a thread per row in several blocks, one bank vector for all rows
    same({20, 130, 68, 8}, 1);   // topk in a queue
    same({9, 130, 70, 40}, 0);   // a block per row
    same({3, 1300, 4, 2}, 0);    // the warps of a block share a row
  });
}

TEST(low_rank_ops_are_the_same_in_every_order) {
  check::on_cuda([](vbl_stream *stream) {
    const auto same = [&](const vbl_lowrank &l, int64_t shift) {
      same_in_every_order([&](Outputs &outputs, char garbage) {
        low_rank(stream, l, check::seed(), shift, outputs, garbage);
      });
    };
    same({9, 300, 140, 2, 5, 0.3f, 0.5f, 1, VBL_FLOAT32, VBL_BFLOAT16}, 0);
    same({37, 60, 52, 9, 5, 0.3f, 2, 0, VBL_BFLOAT16, VBL_FLOAT32}, 1);  // three slices of ranks, tokens shared out
  });
}
