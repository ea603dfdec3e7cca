#include "ops.h"

#include <algorithm>
#include <random>

namespace bench {
namespace {

constexpr int32_t kActive = 128, kCapacity = 192, kCandidates = 8;  // of a row, where it has so many entries

// Fills with numbers of a normal distribution, by repeating a block of a length that no row divides.
void fill_normal(Array<float> &array, std::mt19937 &random, float scale) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> block(static_cast<size_t>(std::min<int64_t>(array.size(), (1 << 20) - 3)));
  for (float &x : block) x = normal(random);
  for (int64_t at = 0; at < array.size(); at += static_cast<int64_t>(block.size())) {
    block.resize(static_cast<size_t>(std::min<int64_t>(array.size() - at, static_cast<int64_t>(block.size()))));
    array.set(block, at);
  }
}

// Zero but for kActive entries of each row.
void fill_active(Array<float> &array, const Shape &shape, float value) {
  const int64_t h = shape.num_vectors, active = std::min<int64_t>(kActive, h);
  std::mt19937 random(2);  // the same entries for each array
  for (int64_t row = 0; row < shape.rows; row += 4096) {
    const int64_t rows = std::min<int64_t>(4096, shape.rows - row);
    std::vector<float> block(static_cast<size_t>(rows * h), 0.0f);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t first = random() % h;  // every step-th from there on: no entry twice
      const int64_t step = std::max<int64_t>(1, h / active);
      for (int64_t i = 0; i < active; ++i) block[static_cast<size_t>(r * h + (first + i * step) % h)] = value;
    }
    array.set(block, row * h);
  }
}

std::vector<int32_t> indices(const Shape &shape, const std::string &selection, std::mt19937 &random) {
  const int32_t h = shape.num_vectors;
  std::uniform_real_distribution<double> share(1.0 / h, 1);
  std::vector<int32_t> chosen;
  for (int64_t row = 0; row < shape.rows; ++row) {
    int32_t first = h / 3, second = h / 3 + 1;
    if (selection == "uniform") {
      first = static_cast<int32_t>(random() % static_cast<uint32_t>(h));
      second = static_cast<int32_t>(random() % static_cast<uint32_t>(h));
    } else if (selection == "zipf") {  // P(i) ~ 1 / ((i + 1)(i + 2))
      first = static_cast<int32_t>(1 / share(random)) - 1;
      second = static_cast<int32_t>(1 / share(random)) - 1;
    }
    if (second == first) second = (first + 1) % h;
    chosen.push_back(first);
    chosen.push_back(second);
  }
  return chosen;
}

vbl_step step_of() {
  vbl_step step = {};
  step.step = 100;
  step.gradient_scale = 1;
  step.clip_factor = 1;
  // Small enough that a repetition leaves the next one the same work.
  require(vbl_adamw_group_set(&step.group[0], step.step, 1e-9, 0.9, 0.999, 1e-8, 0), "vbl_adamw_group_set");
  return step;
}

}  // namespace

struct Cases::Arrays {
  vbl_stream *stream;
  vbl_admixture admixture;
  Array<int32_t> slots, selected, uniform, zipf, same;
  Array<float> logits, exp_avg, exp_avg_sq, weights, new_weights, dlogits;
  Array<float> bank, dbank, bank_exp_avg, bank_exp_avg_sq, packed, dpacked;
  Array<int32_t> active_count, active_index, candidate_count, candidate_index, max_count;
  Array<float> active_logit, active_exp_avg, active_exp_avg_sq;
  Array<int64_t> bad_row;
  Array<double> sum;
  Array<vbl_step> step;
  Array<char> backward_scratch, active_scratch, sum_scratch;
  vbl_active active;

  Arrays(vbl_stream *s, const Shape &shape, std::mt19937 &random)
      : stream(s), admixture{shape.rows, shape.num_vectors, shape.vector_length, shape.topk, nullptr},
        slots(s, permutation(shape.rows, random)), selected(s, shape.rows * shape.topk),
        uniform(s, indices(shape, "uniform", random)), zipf(s, indices(shape, "zipf", random)),
        same(s, indices(shape, "all-same", random)), logits(s, shape.rows * shape.num_vectors),
        exp_avg(s, logits.size()), exp_avg_sq(s, logits.size()), weights(s, selected.size()),
        new_weights(s, selected.size()), dlogits(s, selected.size()),
        bank(s, int64_t{shape.num_vectors} * shape.vector_length), dbank(s, bank.size()), bank_exp_avg(s, bank.size()),
        bank_exp_avg_sq(s, bank.size()), packed(s, shape.rows * shape.vector_length), dpacked(s, packed.size()),
        active_count(s, shape.rows), active_index(s, shape.rows * capacity(shape)), candidate_count(s, shape.rows),
        candidate_index(s, shape.rows * kCandidates), max_count(s, 1), active_logit(s, active_index.size()),
        active_exp_avg(s, active_index.size()), active_exp_avg_sq(s, active_index.size()), bad_row(s, 1), sum(s, 1),
        step(s, std::vector<vbl_step>{step_of()}),
        backward_scratch(s, scratch_bytes(vbl_admixture_backward_scratch_bytes(s, &admixture))),
        active_scratch(s, scratch_bytes(vbl_active_scratch_bytes(s, &admixture))),
        sum_scratch(s, scratch_bytes(vbl_sum_squares_scratch_bytes(s, bank.size()))),
        active{capacity(shape), kCandidates, active_count.data(), active_index.data(), active_logit.data(),
               active_exp_avg.data(), active_exp_avg_sq.data(), candidate_count.data(), candidate_index.data(),
               max_count.data()} {
    admixture.slots = slots.data();
    fill_normal(logits, random, 0.1f);
    fill_active(exp_avg, shape, 1e-3f);
    fill_active(exp_avg_sq, shape, 1e-6f);
    fill_normal(dlogits, random, 1e-3f);
    fill_normal(bank, random, 0.01f);
    fill_normal(dbank, random, 1e-3f);
    fill_normal(dpacked, random, 1e-3f);
    bank_exp_avg.clear();
    bank_exp_avg_sq.clear();
    sum.clear();
    require(vbl_select(stream, &admixture, logits.data(), selected.data(), weights.data(), bad_row.data()),
            "vbl_select");
    require(vbl_stream_synchronize(stream), "vbl_select");
  }

  static int32_t capacity(const Shape &shape) { return std::min(kCapacity, shape.num_vectors); }
  // -1, an op that this device lacks, becomes 0: the op itself says so.
  static int64_t scratch_bytes(int64_t bytes) { return std::max<int64_t>(bytes, 0); }
  static std::vector<int32_t> permutation(int64_t n, std::mt19937 &random) {
    std::vector<int32_t> order(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = static_cast<int32_t>(i);
    std::shuffle(order.begin(), order.end(), random);
    return order;
  }
};

Cases::Cases(vbl_stream *stream, const Shape &shape) {
  std::mt19937 random(1);
  arrays_ = std::make_unique<Arrays>(stream, shape, random);
  Arrays &a = *arrays_;
  const double rows = static_cast<double>(shape.rows), h = shape.num_vectors, k = shape.topk;
  const double packed = rows * shape.vector_length, bank = h * shape.vector_length;
  const double active = std::min<double>(kActive, h);
  const struct {
    const char *name;
    const Array<int32_t> &indices;
  } selections[] = {{"uniform", a.uniform}, {"zipf", a.zipf}, {"all-same", a.same}};

  cases_.push_back({"select", "float32", "-", 4 * rows * h + 8 * rows * k, [&a] {
                      return vbl_select(a.stream, &a.admixture, a.logits.data(), a.selected.data(),
                                        a.new_weights.data(), a.bad_row.data());
                    }});
  for (const auto &selection : selections) {
    for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16}) {
      const double bytes = dtype == VBL_FLOAT32 ? 4 : 2;
      const int32_t *indices = selection.indices.data();
      cases_.push_back({"compose", dtype == VBL_FLOAT32 ? "float32" : "bfloat16", selection.name,
                        bytes * packed + 4 * bank + 8 * rows * k, [&a, indices, dtype] {
                          return vbl_compose(a.stream, &a.admixture, a.bank.data(), indices, a.weights.data(),
                                             a.packed.data(), dtype);
                        }});
    }
  }
  for (const auto &selection : selections) {
    const int32_t *indices = selection.indices.data();
    cases_.push_back({"backward", "float32", selection.name, 4 * packed + 8 * bank + 12 * rows * k, [&a, indices] {
                        return vbl_admixture_backward(a.stream, &a.admixture, a.bank.data(), indices, a.weights.data(),
                                                      a.dpacked.data(), a.dlogits.data(), a.dbank.data(),
                                                      a.backward_scratch.data(), a.backward_scratch.bytes());
                      }});
  }
  // Reads and writes index, logit and moments of the active entries, except that indices are not written.
  const Op load = [&a] {
    return vbl_active_load(a.stream, &a.admixture, &a.active, a.logits.data(), a.exp_avg.data(), a.exp_avg_sq.data(),
                           a.active_scratch.data(), a.active_scratch.bytes());
  };
  const vbl_status loaded = load();
  if (loaded != VBL_UNSUPPORTED) require(loaded, "vbl_active_load");
  cases_.push_back({"adamw_active_select", "float32", "-", rows * (28 * active + 20 * k + 4 * kCandidates),
                    [&a, loaded] {
                      if (loaded != VBL_OK) return loaded;
                      return vbl_adamw_active_select(a.stream, &a.admixture, &a.active, a.step.data(), 0,
                                                     a.logits.data(), a.dlogits.data(), a.selected.data(),
                                                     a.new_weights.data(), a.bad_row.data(), a.active_scratch.data(),
                                                     a.active_scratch.bytes());
                    }});
  cases_.push_back({"adamw_select", "float32", "-", 24 * rows * h + 20 * rows * k, [&a] {
                      return vbl_adamw_select(a.stream, &a.admixture, a.step.data(), 0, a.logits.data(),
                                              a.dlogits.data(), a.exp_avg.data(), a.exp_avg_sq.data(),
                                              a.selected.data(), a.new_weights.data(), a.bad_row.data());
                    }});
  cases_.push_back({"adamw", "float32", "-", 28 * bank, [&a] {
                      return vbl_adamw(a.stream, a.bank.size(), a.step.data(), 0, a.bank.data(), a.dbank.data(),
                                       a.bank_exp_avg.data(), a.bank_exp_avg_sq.data());
                    }});
  cases_.push_back({"sum_squares", "float32", "-", 4 * bank, [&a] {
                      return vbl_sum_squares(a.stream, a.dbank.size(), a.dbank.data(), a.sum.data(),
                                             a.sum_scratch.data(), a.sum_scratch.bytes());
                    }});
}

Cases::~Cases() = default;

}  // namespace bench
