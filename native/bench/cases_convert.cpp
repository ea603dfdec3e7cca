// Conversions between data types, on as many elements as the packed A and B have.
#include <algorithm>
#include <cmath>

#include "cases.h"

namespace bench {
namespace {

class ConvertCases : public Cases {
 public:
  ConvertCases(vbl_stream *s, const Shape &sh, Random &random)
      : stream_(s), n_(sh.rows * sh.vector_length), from32_(s, n_, sh.shift), to32_(s, n_, sh.shift),
        from16_{{s, n_, sh.shift}, {s, n_, sh.shift}}, to16_(s, n_, sh.shift) {
    memory_ = {{"source", &from32_},
               {"destination", &to32_},
               {"source", &from16_[0]},
               {"source", &from16_[1]},
               {"destination", &to16_}};
    fill_normal(from32_, random, 1.0f);
    for (const int32_t dtype : {VBL_BFLOAT16, VBL_FLOAT16})
      require(vbl_convert(s, n_, from32_.data(), VBL_FLOAT32, from16(dtype).data(), dtype), "vbl_convert");
    fill_normal(from32_, random, 1.0f);  // anew: the op is still to be checked
    for (const int32_t from : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
      for (const int32_t to : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
        if (from == to) continue;
        const double bytes = (from == VBL_FLOAT32 ? 4 : 2) + (to == VBL_FLOAT32 ? 4 : 2);
        cases_.push_back({std::string("convert_") + name_of(from), name_of(to), "-", bytes * static_cast<double>(n_),
                          false, [=] { return convert(from, to); }, [=] { return check(from, to); }});
      }
    }
  }

 private:
  Array<uint16_t> &from16(int32_t dtype) { return from16_[dtype == VBL_BFLOAT16 ? 0 : 1]; }

  vbl_status convert(int32_t from, int32_t to) {
    const void *source = from == VBL_FLOAT32 ? static_cast<const void *>(from32_.data()) : from16(from).data();
    void *destination = to == VBL_FLOAT32 ? static_cast<void *>(to32_.data()) : to16_.data();
    return vbl_convert(stream_, n_, source, from, destination, to);
  }

  Finding check(int32_t from, int32_t to) {
    to32_.fill(kNoNumber);
    to16_.fill(kNoNumber);
    Comparison comparison(to == VBL_FLOAT32    ? 0
                          : to == VBL_BFLOAT16 ? 0x1p-8
                                               : 0x1p-11,
                          to == VBL_FLOAT32 ? "exact" : "one rounding");
    Memory *const source = from == VBL_FLOAT32 ? static_cast<Memory *>(&from32_) : &from16(from);
    run("vbl_convert", [=] { return convert(from, to); }, {{"source", source}}, &comparison);
    const std::vector<float> source32 = from32_.get(), found32 = to32_.get();
    const std::vector<uint16_t> source16 = from16(from).get(), found16 = to16_.get();
    for (int64_t i = 0; i < n_; ++i) {
      const double exact = from == VBL_FLOAT32 ? source32[i] : reference::widened(source16[i], from);
      const double found = to == VBL_FLOAT32 ? found32[i] : reference::widened(found16[i], to);
      // The smallest float16 numbers are 2^-24 apart: half of that, as a share of 2^-14.
      comparison.near("destination", i, found, exact,
                      to == VBL_FLOAT16 ? std::max(std::fabs(exact), 0x1p-14) : std::fabs(exact));
    }
    return comparison.finding();
  }

  vbl_stream *stream_;
  int64_t n_;
  Array<float> from32_, to32_;
  Array<uint16_t> from16_[2], to16_;
};

}  // namespace

std::unique_ptr<Cases> convert_cases(vbl_stream *stream, const Shape &shape, Random &random) {
  return std::make_unique<ConvertCases>(stream, shape, random);
}

}  // namespace bench
