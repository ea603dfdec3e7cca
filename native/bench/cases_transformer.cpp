// Ops around matrix products, on the activations of one layer: those of out_features columns are an MLP's.
#include <cmath>

#include "cases.h"
#include "numbers.h"

namespace bench {
namespace {

class TransformerCases : public Cases {
 public:
  TransformerCases(vbl_stream *s, const Shape &sh, Random &random)
      : stream_(s), rows_(sh.layer.tokens), columns_(sh.layer.out_features) {
    const bool all_dtypes = vbl_stream_device(s) != VBL_DEVICE_CPU;  // which has float32 alone
    for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
      if (dtype != VBL_FLOAT32 && !all_dtypes) continue;
      mlps_.push_back(std::make_unique<Mlp>(s, sh, dtype, random));
      Mlp *mlp = mlps_.back().get();
      mlp->add_to(memory_);
      const double bytes = (dtype == VBL_FLOAT32 ? 4 : 2) * static_cast<double>(rows_ * columns_);
      cases_.push_back({"silu_mul_forward", name_of(dtype), "-", 3 * bytes, dtype != VBL_FLOAT16,
                        [=] { return forward(*mlp); }, [=] { return check_forward(*mlp); }});
      cases_.push_back({"silu_mul_backward", name_of(dtype), "-", 5 * bytes, dtype != VBL_FLOAT16,
                        [=] { return backward(*mlp); }, [=] { return check_backward(*mlp); }});
    }
  }

 private:
  // gate and up are the halves of a joint product's columns.
  struct Mlp {
    int32_t dtype;
    Numbers joint, djoint, dout, out;

    Mlp(vbl_stream *s, const Shape &sh, int32_t type, Random &random)
        : dtype(type), joint(s, 2 * sh.layer.tokens * sh.layer.out_features, type, sh.shift, random, 2),
          djoint(s, joint.size() / width(), type, sh.shift, random, 1),
          dout(s, sh.layer.tokens * sh.layer.out_features, type, sh.shift, random, 1),
          out(s, dout.size() / width(), type, sh.shift, random, 1) {}

    int64_t width() const { return dtype == VBL_FLOAT32 ? 4 : 2; }

    void add_to(NamedMemory &memory) {
      memory.insert(memory.end(),
                    {{"gate and up", &joint}, {"dgate and dup", &djoint}, {"dout", &dout}, {"out", &out}});
    }
  };

  vbl_status forward(Mlp &m) {
    return vbl_silu_mul_forward(stream_, m.dtype, rows_, columns_, m.joint.data(), up(m, m.joint), 2 * columns_,
                                m.out.data(), 0);
  }

  vbl_status backward(Mlp &m) {
    return vbl_silu_mul_backward(stream_, m.dtype, rows_, columns_, m.joint.data(), up(m, m.joint), 2 * columns_,
                                 m.dout.data(), 0, m.djoint.data(), up(m, m.djoint), 2 * columns_);
  }

  char *up(const Mlp &m, const Numbers &joint) const { return joint.data() + columns_ * m.width(); }

  // A few roundings of float32 in terms as large as the magnitude, and one to the dtype.
  static void compare(Comparison &comparison, const char *name, size_t at, double found, double exact, double magnitude,
                      int32_t dtype) {
    const double stored = dtype == VBL_FLOAT32 ? 0 : rounding(dtype);
    comparison.near(name, static_cast<int64_t>(at), found, exact,
                    magnitude + (stored * std::fabs(exact) + smallest_step(dtype)) / comparison.bound());
  }

  // Calls body(at, gate, up, at of gate) for each element.
  template <typename Body>
  void for_each(const std::vector<double> &joint, const Body &body) const {
    const size_t columns = static_cast<size_t>(columns_);
    for (size_t row = 0; row < static_cast<size_t>(rows_); ++row)
      for (size_t column = 0; column < columns; ++column) {
        const size_t gate = row * 2 * columns + column;
        body(row * columns + column, joint[gate], joint[gate + columns], gate);
      }
  }

  static Comparison few_roundings() { return Comparison(8 * kFloat32, "8 roundings"); }

  Finding check_forward(Mlp &m) {
    m.out.fill(kNoNumber);
    Comparison comparison = few_roundings();
    run("vbl_silu_mul_forward", [&] { return forward(m); }, {{"gate and up", &m.joint}}, &comparison);
    const std::vector<double> found = m.out.values();
    for_each(m.joint.values(), [&](size_t at, double gate, double up, size_t) {
      const double exact = gate / (1 + std::exp(-gate)) * up;
      compare(comparison, "out", at, found[at], exact, std::fabs(exact), m.dtype);
    });
    return comparison.finding();
  }

  Finding check_backward(Mlp &m) {
    m.djoint.fill(kNoNumber);
    Comparison comparison = few_roundings();
    run(
        "vbl_silu_mul_backward", [&] { return backward(m); }, {{"gate and up", &m.joint}, {"dout", &m.dout}},
        &comparison);
    const std::vector<double> found = m.djoint.values(), dout = m.dout.values();
    for_each(m.joint.values(), [&](size_t at, double gate, double up, size_t of_gate) {
      const double s = 1 / (1 + std::exp(-gate)), of_up = dout[at] * gate * s, slope = dout[at] * up * s;
      compare(comparison, "dgate", of_gate, found[of_gate], slope * (1 + gate * (1 - s)),
              std::fabs(slope) * (1 + std::fabs(gate)), m.dtype);
      const size_t at_up = of_gate + static_cast<size_t>(columns_);
      compare(comparison, "dup", at_up, found[at_up], of_up, std::fabs(of_up), m.dtype);
    });
    return comparison.finding();
  }

  vbl_stream *stream_;
  int64_t rows_, columns_;
  std::vector<std::unique_ptr<Mlp>> mlps_;
};

}  // namespace

std::unique_ptr<Cases> transformer_cases(vbl_stream *stream, const Shape &shape, Random &random) {
  return std::make_unique<TransformerCases>(stream, shape, random);
}

}  // namespace bench
