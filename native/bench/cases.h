// The ops that are checked and timed, on arrays of one shape.
#pragma once
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "compare.h"
#include "measure.h"
#include "shapes.h"

namespace bench {

struct Case {
  std::string op, dtype, selection;
  double bytes;     // what has to be read from and written to memory, once, for the input that it is timed on
  bool every_step;  // runs in every step of a training, which is what the benchmark times
  Op run;
  // Fills the outputs with what cannot be a result, runs the op and holds what it wrote against float64.
  std::function<Finding()> check;
  Op prepare = {};  // if not empty: gives run its input anew, which it changes
};

using NamedMemory = std::vector<std::pair<const char *, Memory *>>;

// The cases of a family, with the memory they work on.
class Cases {
 public:
  virtual ~Cases() = default;
  const std::vector<Case> &all() const { return cases_; }
  // The name of an array in whose guard zones something was written since the last call; empty if there is none.
  std::string overrun();

 protected:
  // Runs an op, which is to return a status. Inputs that are no longer what they were, bit for bit, are differences.
  static void run(const char *name, const Op &op, const NamedMemory &inputs, Comparison *comparison,
                  vbl_status expected = VBL_OK);

  std::vector<Case> cases_;
  NamedMemory memory_;
};

using Random = std::mt19937;

std::unique_ptr<Cases> admixture_cases(vbl_stream *stream, const Shape &shape, Random &random);
std::unique_ptr<Cases> logits_cases(vbl_stream *stream, const Shape &shape, Random &random);
std::unique_ptr<Cases> adamw_cases(vbl_stream *stream, const Shape &shape, Random &random);
std::unique_ptr<Cases> lowrank_cases(vbl_stream *stream, const Shape &shape, Random &random);
std::unique_ptr<Cases> convert_cases(vbl_stream *stream, const Shape &shape, Random &random);
std::unique_ptr<Cases> transformer_cases(vbl_stream *stream, const Shape &shape, Random &random);

// "float32", "bfloat16" or "float16".
const char *name_of(int32_t dtype);

// Fills with numbers of a normal distribution, by repeating a block of a length that no row divides.
void fill_normal(Array<float> &array, Random &random, float scale);

// What a number may be off by, as a share of it: rounded once from float64, by half of its last place.
constexpr double kFloat32 = 0x1p-24 * (1 + 1e-6), kBfloat16 = 0x1p-8 + 0x1p-24, kFloat16 = 0x1p-11 + 0x1p-24;
inline double rounding(int32_t dtype) {
  return dtype == VBL_FLOAT32 ? kFloat32 : dtype == VBL_BFLOAT16 ? kBfloat16 : kFloat16;
}
// Half of what the smallest numbers are apart, where that shows: float16 alone has so few of them.
inline double smallest_step(int32_t dtype) { return dtype == VBL_FLOAT16 ? 0x1p-25 : 0; }

}  // namespace bench
