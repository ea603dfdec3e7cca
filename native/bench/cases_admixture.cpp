// Selecting, composing and differentiating the admixture.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "cases.h"

namespace bench {
namespace {

enum class Use { uniform, zipf, all_same };

std::vector<int32_t> permutation(int64_t n, Random &random) {
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// Which vectors rows use; those of a row differ.
std::vector<int32_t> indices(const Shape &shape, Use use, Random &random) {
  const int32_t h = shape.num_vectors;
  std::uniform_real_distribution<double> share(1.0 / h, 1);
  std::vector<int32_t> chosen;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const auto first = chosen.end() - chosen.begin();
    for (int32_t j = 0; j < shape.topk; ++j) {
      int32_t vector = (h / 3 + j) % h;
      if (use == Use::uniform) vector = static_cast<int32_t>(random() % static_cast<uint32_t>(h));
      if (use == Use::zipf) vector = static_cast<int32_t>(1 / share(random)) - 1;  // P(i) ~ 1 / ((i + 1)(i + 2))
      while (std::find(chosen.begin() + first, chosen.end(), vector) != chosen.end()) vector = (vector + 1) % h;
      chosen.push_back(vector);
    }
  }
  return chosen;
}

double distinct(const Array<int32_t> &used, int32_t num_vectors) {
  std::vector<bool> is_used(static_cast<size_t>(num_vectors));
  for (const int32_t vector : used.get()) is_used[vector] = true;
  return static_cast<double>(std::count(is_used.begin(), is_used.end(), true));
}

class AdmixtureCases : public Cases {
 public:
  AdmixtureCases(vbl_stream *s, const Shape &sh, Random &random)
      : stream_(s), shape_(sh), slots_(s, permutation(sh.rows, random), sh.shift),
        uniform_(s, indices(sh, Use::uniform, random), sh.shift), zipf_(s, indices(sh, Use::zipf, random), sh.shift),
        all_same_(s, indices(sh, Use::all_same, random), sh.shift), logits_(s, sh.rows * sh.num_vectors, sh.shift),
        bank_(s, int64_t{sh.num_vectors} * sh.vector_length, sh.shift),
        dpacked_(s, sh.rows * sh.vector_length, sh.shift), selected_(s, sh.rows * sh.topk, sh.shift),
        weights_(s, selected_.size(), sh.shift), new_weights_(s, selected_.size(), sh.shift),
        dlogits_(s, selected_.size(), sh.shift), dbank_(s, bank_.size(), sh.shift), bad_row_(s, 1),
        packed32_(s, dpacked_.size(), sh.shift), packed16_(s, dpacked_.size(), sh.shift),
        admixture_(sh.admixture(slots_.data())), scratch_(s, vbl_admixture_backward_scratch_bytes(s, &admixture_)) {
    memory_ = {{"slots", &slots_},     {"indices", &uniform_},     {"indices", &zipf_},    {"indices", &all_same_},
               {"logits", &logits_},   {"bank", &bank_},           {"dpacked", &dpacked_}, {"indices", &selected_},
               {"weights", &weights_}, {"weights", &new_weights_}, {"dlogits", &dlogits_}, {"dbank", &dbank_},
               {"bad_row", &bad_row_}, {"packed", &packed32_},     {"packed", &packed16_}, {"scratch", &scratch_}};
    fill_normal(logits_, random, 0.1f);
    fill_normal(bank_, random, 0.01f);
    fill_normal(dpacked_, random, 1e-3f);
    std::vector<float> weights(static_cast<size_t>(weights_.size()));
    std::uniform_real_distribution<float> share(0, 1);
    for (float &w : weights) w = share(random);
    weights_.set(weights, 0);

    const double rows = static_cast<double>(sh.rows), h = sh.num_vectors, k = sh.topk;
    const double packed = rows * sh.vector_length, bank = h * sh.vector_length;
    cases_.push_back({"select", "float32", "-", 4 * rows * h + 8 * rows * k, true, [this] { return select(); },
                      [this] { return check_select(); }});
    const std::pair<const char *, Array<int32_t> *> uses[] = {
        {"uniform", &uniform_}, {"zipf", &zipf_}, {"all-same", &all_same_}};
    // Slots, indices and weights are read, and the vectors that are used at all.
    const double plan = 4 * rows + 8 * rows * k;
    const auto vectors = [&](const Array<int32_t> &used) {
      return 4 * distinct(used, sh.num_vectors) * sh.vector_length;
    };
    for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
      for (const auto &[name, used] : uses) {
        const double bytes = (dtype == VBL_FLOAT32 ? 4 : 2) * packed + vectors(*used) + plan;
        cases_.push_back({"compose", name_of(dtype), name, bytes, true,
                          [this, i = used, dtype] { return compose(*i, dtype); },
                          [this, i = used, dtype] { return check_compose(*i, dtype); }});
      }
    }
    for (const auto &[name, used] : uses) {
      // The gradient is written of all vectors.
      const double bytes = 4 * packed + vectors(*used) + plan + 4 * bank + 4 * rows * k;
      cases_.push_back({"backward", "float32", name, bytes, true, [this, i = used] { return backward(*i); },
                        [this, i = used] { return check_backward(*i); }});
    }
  }

 private:
  vbl_status select() {
    return vbl_select(stream_, &admixture_, logits_.data(), selected_.data(), new_weights_.data(), bad_row_.data());
  }

  Finding check_select() {
    selected_.fill(kNoInteger);
    new_weights_.fill(kNoNumber);
    bad_row_.fill(kNoInteger);
    Comparison comparison(kFloat32, "one rounding");
    run("vbl_select", [this] { return select(); }, {{"logits", &logits_}}, &comparison);
    const reference::Selection exact = reference::select(shape_, logits_.get());
    const std::vector<float> weights = new_weights_.get();
    comparison.equal("indices", selected_.get(), exact.indices);
    for (size_t i = 0; i < weights.size(); ++i)
      comparison.near("weights", static_cast<int64_t>(i), weights[i], exact.weights[i], exact.weights[i]);
    comparison.equal("bad_row", bad_row_.get(), {-1});
    check_coarse(&comparison);
    return comparison.finding();
  }

  // Of logits that are multiples of 1/32 many are equal; and two rows have one that is not a number, or is infinite.
  void check_coarse(Comparison *comparison) {
    const std::vector<float> logits = logits_.get();
    std::vector<float> coarse = logits, as_infinite;
    for (float &x : coarse) x = std::nearbyint(32 * x) / 32;
    const int64_t h = shape_.num_vectors, k = shape_.topk, last = shape_.rows - 1, bad = last / 2;
    coarse[bad * h + h / 2] = INFINITY;
    as_infinite = coarse;
    coarse[last * h + h / 3] = NAN;  // stands above all others
    as_infinite[last * h + h / 3] = INFINITY;
    logits_.set(coarse, 0);
    selected_.fill(kNoInteger);
    new_weights_.fill(0);
    bad_row_.fill(kNoInteger);
    run("vbl_select", [this] { return select(); }, {{"logits", &logits_}}, comparison);
    const reference::Selection exact = reference::select(shape_, as_infinite);
    const std::vector<float> weights = new_weights_.get();
    comparison->equal("indices", selected_.get(), exact.indices);
    for (int64_t at = 0; at < last * k + k; ++at) {
      if (at / k != bad && at / k != last) {
        comparison->near("weights", at, weights[at], exact.weights[at], exact.weights[at]);
      } else if (!std::isnan(weights[at])) {
        comparison->near("weights", at, weights[at], NAN, 0);
      }
    }
    comparison->equal("bad_row", bad_row_.get(), {bad});
    logits_.set(logits, 0);
  }

  Memory &packed(int32_t dtype) {
    return dtype == VBL_FLOAT32 ? static_cast<Memory &>(packed32_) : static_cast<Memory &>(packed16_);
  }

  vbl_status compose(const Array<int32_t> &used, int32_t dtype) {
    void *packed = dtype == VBL_FLOAT32 ? static_cast<void *>(packed32_.data()) : packed16_.data();
    return vbl_compose(stream_, &admixture_, bank_.data(), used.data(), weights_.data(), packed, dtype);
  }

  Finding check_compose(Array<int32_t> &used, int32_t dtype) {
    packed(dtype).fill(kNoNumber);
    Comparison comparison(rounding(dtype), dtype == VBL_FLOAT32 ? "one rounding" : "two roundings");
    run(
        "vbl_compose", [&] { return compose(used, dtype); },
        {{"bank", &bank_}, {"indices", &used}, {"weights", &weights_}, {"slots", &slots_}}, &comparison);
    const std::vector<float> bank = bank_.get(), weights = weights_.get(), found32 = packed32_.get();
    const std::vector<uint16_t> found16 = packed16_.get();
    const std::vector<int32_t> indices = used.get(), slots = slots_.get();
    const int64_t b = shape_.vector_length, k = shape_.topk;
    // float64's own rounding where terms cancel, and the steps of float16's smallest numbers.
    const double cancel = 1e-13 / comparison.bound();
    const double smallest = smallest_step(dtype) / comparison.bound();
    for (int64_t row = 0; row < shape_.rows; ++row) {
      for (int64_t i = 0; i < b; ++i) {
        double exact = 0, magnitude = 0;
        for (int64_t j = 0; j < k; ++j) {
          const double term = double{weights[row * k + j]} * bank[indices[row * k + j] * b + i];
          exact += term;
          magnitude += std::fabs(term);
        }
        const int64_t at = slots[row] * b + i;
        const double found = dtype == VBL_FLOAT32 ? found32[at] : reference::widened(found16[at], dtype);
        comparison.near("packed", at, found, exact, std::fabs(exact) + cancel * magnitude + smallest);
      }
    }
    return comparison.finding();
  }

  vbl_status backward(const Array<int32_t> &used) {
    return vbl_admixture_backward(stream_, &admixture_, bank_.data(), used.data(), weights_.data(), dpacked_.data(),
                                  dlogits_.data(), dbank_.data(), scratch_.data(), scratch_.bytes());
  }

  Finding check_backward(Array<int32_t> &used) {
    for (Memory *output :
         {static_cast<Memory *>(&dlogits_), static_cast<Memory *>(&dbank_), static_cast<Memory *>(&scratch_)})
      output->fill(kNoNumber);
    Comparison comparison(kFloat32, "one rounding");
    run(
        "vbl_admixture_backward", [&] { return backward(used); },
        {{"bank", &bank_}, {"indices", &used}, {"weights", &weights_}, {"dpacked", &dpacked_}, {"slots", &slots_}},
        &comparison);
    const reference::Gradients exact =
        reference::backward(shape_, {bank_.get(), weights_.get(), dpacked_.get(), used.get(), slots_.get()});
    const double cancel = 1e-12 / comparison.bound();
    const std::vector<float> dlogits = dlogits_.get(), dbank = dbank_.get();
    for (size_t i = 0; i < dlogits.size(); ++i)
      comparison.near("dlogits", static_cast<int64_t>(i), dlogits[i], exact.dlogits[i],
                      std::fabs(exact.dlogits[i]) + cancel * exact.dlogits_magnitude[i]);
    for (size_t i = 0; i < dbank.size(); ++i)
      comparison.near("dbank", static_cast<int64_t>(i), dbank[i], exact.dbank[i],
                      std::fabs(exact.dbank[i]) + cancel * exact.dbank_magnitude[i]);
    return comparison.finding();
  }

  vbl_stream *stream_;
  Shape shape_;
  Array<int32_t> slots_, uniform_, zipf_, all_same_;
  Array<float> logits_, bank_, dpacked_;
  Array<int32_t> selected_;
  Array<float> weights_, new_weights_, dlogits_, dbank_;
  Array<int64_t> bad_row_;
  Array<float> packed32_;
  Array<uint16_t> packed16_;
  vbl_admixture admixture_;
  Array<char> scratch_;
};

}  // namespace

std::unique_ptr<Cases> admixture_cases(vbl_stream *stream, const Shape &shape, Random &random) {
  return std::make_unique<AdmixtureCases>(stream, shape, random);
}

}  // namespace bench
