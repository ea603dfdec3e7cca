#include "transformer/bias_activation.simd.h"

#include "runtime/simd_math.h"
#include "vblora/transformer.h"

namespace vbl {
namespace VBL_ISA {
namespace {

// Both forms of GELU are x · cdf(x) with 1 - cdf(x) = cdf(-x), so with tail(t) = cdf(-t) = 1 - cdf(t) for t = |x|
//   y = max(x, 0) - t · tail(t),
//   dy/dx = (x < 0 ? tail : 1 - tail) + x · density(t).
// Neither loses digits where y is small. From `most` on tail and density are 0, and x may be cut to it.
struct Tail {
  vfloat exponential, ratio;  // factors of tail: their product may be denormal where t · tail is not
  vfloat density;
};

struct Gelu {
  static constexpr float most = 15;
  static Tail tail(vfloat t) {
    const NormalTail normal = normal_tail(t);
    return {normal.exponential, normal.ratio, normal.exponential * 0.398942280f};  // 1 / sqrt(2 pi)
  }
};

// The logistic function of z = t · (a + b t²), a = 2 sqrt(2 / pi), b = 0.044715 a.
struct GeluTanh {
  static constexpr float most = 12;
  static Tail tail(vfloat t) {
    // z to twice the digits of a float, since e^-z makes its absolute error a relative one.
    constexpr float a = 1.59576917f, a_rest = -4.534068e-8f, b = 0.0713548139f, b_rest = 2.398832e-9f;
    const vfloat square = t * t, cubic = square * b, slope = cubic + a, z = t * slope;
    const vfloat square_rest = product_error(t, t, square);
    const vfloat cubic_rest = product_error(square, splat(b), cubic) + square_rest * b + square * b_rest;
    const vfloat shift = slope - cubic;  // what of a arrived
    const vfloat slope_rest = (a - shift) + (cubic - (slope - shift)) + a_rest + cubic_rest;
    const vfloat z_rest = product_error(t, slope, z) + t * slope_rest;
    vfloat e = exp(-z);
    e = fma(e, -z_rest, e);
    const vfloat other = 1.0f / (1.0f + e);
    return {e, other, e * other * other * fma(square, splat(3 * b), splat(a))};
  }
};

template <class Form>
vfloat gelu(vfloat x) {
  const vfloat t = min(splat(Form::most), abs(x));
  const Tail at = Form::tail(t);
  return max(vfloat{}, x) - at.exponential * (t * at.ratio);
}

template <class Form>
vfloat gelu_slope(vfloat x) {
  const vfloat t = min(splat(Form::most), abs(x));
  const Tail at = Form::tail(t);
  const vfloat tail = at.exponential * at.ratio;
  return (x < 0.0f ? tail : 1.0f - tail) + copysign(t, x) * at.density;
}

vfloat relu(vfloat x) { return max(vfloat{}, x); }
vfloat relu_slope(vfloat x) { return x <= 0.0f ? vfloat{} : x > 0.0f ? splat(1) : x; }

// 1 - tanh² = 4 e / (1 + e)² with e = e^-2|x|, which does not cancel as the difference does.
vfloat tanh_slope(vfloat x) {
  const vfloat t = abs(x), e = exp(-(t + t)), sum = 1.0f + e;
  return 4.0f * e / (sum * sum);
}

template <vfloat (*f)(vfloat)>
void forward(int64_t n, const float *bias, float *inner, float *activated) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    vfloat x = load(inner + i);
    if (bias != nullptr) store(inner + i, x = x + load(bias + i));
    store(activated + i, f(x));
  }
  if (i == n) return;
  vfloat x = load(inner + i, n - i);
  if (bias != nullptr) store(inner + i, x = x + load(bias + i, n - i), n - i);
  store(activated + i, f(x), n - i);
}

template <vfloat (*slope)(vfloat)>
void backward(int64_t n, const float *x, const float *dy, float *dx) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dx + i, load(dy + i) * slope(load(x + i)));
  if (i < n) store(dx + i, load(dy + i, n - i) * slope(load(x + i, n - i)), n - i);
}

}  // namespace

void bias_activation_forward(int32_t activation, int64_t n, const float *bias, float *inner, float *activated) {
  switch (activation) {
    case VBL_GELU:
      return forward<gelu<Gelu>>(n, bias, inner, activated);
    case VBL_GELU_TANH:
      return forward<gelu<GeluTanh>>(n, bias, inner, activated);
    case VBL_RELU:
      return forward<relu>(n, bias, inner, activated);
    case VBL_TANH:
      return forward<tanh>(n, bias, inner, activated);
  }
}

void activation_backward(int32_t activation, int64_t n, const float *x, const float *dy, float *dx) {
  switch (activation) {
    case VBL_GELU:
      return backward<gelu_slope<Gelu>>(n, x, dy, dx);
    case VBL_GELU_TANH:
      return backward<gelu_slope<GeluTanh>>(n, x, dy, dx);
    case VBL_RELU:
      return backward<relu_slope>(n, x, dy, dx);
    case VBL_TANH:
      return backward<tanh_slope>(n, x, dy, dx);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
