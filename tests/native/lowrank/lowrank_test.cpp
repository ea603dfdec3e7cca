// The low-rank products against their definition in float64, on every device and in all its dtypes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "device.h"
#include "lowrank/dropout.h"
#include "lowrank/step.h"
#include "lowrank/stored.h"

using check::Stored;

namespace {

bool on_cpu(vbl_stream *stream) { return vbl_stream_device(stream) == VBL_DEVICE_CPU; }

// dropout_test compares the masks of the devices and with what the header says.
std::vector<float> mask_of(const vbl_lowrank &l, const vbl_step &step) {
  check::CpuStream stream;
  vbl_lowrank floats = l;
  floats.dtype = floats.factor_dtype = VBL_FLOAT32;
  std::vector<float> mask(static_cast<size_t>(l.tokens * l.in_features), NAN);
  CHECK_STATUS(VBL_OK, vbl_dropout_mask(stream, &floats, 0, &step, mask.data()));
  return mask;
}

// A group of one.
struct Case {
  vbl_lowrank l;
  vbl_step step;
  Stored x, dy, a, bt, y, dx;  // y and dx before the call
  std::vector<float> da, dbt;  // likewise
};

// At most 8 tokens, 200 columns of x and 40 of y under ThreadSanitizer.
struct Shape {
  int64_t tokens, in, out;
  int32_t r;

  Shape(int64_t tokens_, int64_t in_, int64_t out_, int32_t r_)
      : tokens(most(tokens_, 8)), in(most(in_, 200)), out(most(out_, 40)), r(r_) {}

 private:
  static int64_t most(int64_t n, int64_t watched) { return check::kThreadSanitizer ? std::min(n, watched) : n; }
};

Case make_case(check::Random &random, const Shape &s, float dropout, int32_t dtype = VBL_FLOAT32,
               int32_t factor_dtype = VBL_FLOAT32) {
  Case c;
  const uint32_t module = static_cast<uint32_t>(random.next());
  const float scaling = random.uniform(0.25f, 2);
  const int64_t first_token = random.between(0, 9);
  c.l = {s.tokens, s.in, 0, first_token, dropout, dtype, factor_dtype, 1, {{s.out, 0, s.r, module, scaling}}};
  c.step = check::make_step(random.between(1, 1000), random.next(), static_cast<int32_t>(random.between(0, 65535)));
  c.x = Stored(check::normals(random, s.tokens * s.in), dtype);
  c.dy = Stored(check::normals(random, s.tokens * s.out), dtype);
  c.a = Stored(check::normals(random, s.r * s.in), factor_dtype);
  c.bt = Stored(check::normals(random, s.r * s.out), factor_dtype);
  c.y = Stored(check::normals(random, s.tokens * s.out), dtype);
  c.dx = Stored(check::normals(random, s.tokens * s.in), dtype);
  c.da = check::normals(random, s.r * s.in);
  c.dbt = check::normals(random, s.r * s.out);
  return c;
}

struct Results {
  std::vector<float> p, y, q, dx, da, dbt;
};

bool same_bits(const Results &a, const Results &b) {
  return check::same_bits(a.p, b.p) && check::same_bits(a.y, b.y) && check::same_bits(a.q, b.q) &&
         check::same_bits(a.dx, b.dx) && check::same_bits(a.da, b.da) && check::same_bits(a.dbt, b.dbt);
}

// A case's arrays on a device, `shift` elements behind a 16-byte boundary. p, q and scratch hold what they should not.
struct Call {
  vbl_lowrank l;
  vbl_lowrank_member m;
  check::Array<unsigned char> x, dy, a, bt, y, dx;
  check::Array<float> p, q, da, dbt;
  check::Array<vbl_step> step;
  int64_t scratch_bytes;
  check::Array<unsigned char> scratch;

  Call(vbl_stream *stream, const Case &c, int64_t shift = 0)
      : l(c.l), m(l.member[0]), x(c.x.on(stream, shift)), dy(c.dy.on(stream, shift)), a(c.a.on(stream, shift)),
        bt(c.bt.on(stream, shift)), y(c.y.on(stream, shift)), dx(c.dx.on(stream, shift)),
        p(stream, l.tokens * m.r, NAN, shift), q(stream, l.tokens * m.r, NAN, shift), da(stream, c.da, shift),
        dbt(stream, c.dbt, shift), step(stream, {c.step}), scratch_bytes(vbl_lowrank_scratch_bytes(stream, &l)),
        scratch(stream, scratch_bytes, 0xFF, shift) {}

  void forward(vbl_stream *stream) {
    const vbl_lowrank_matrices matrices = {a.data(), bt.data(), p.data(), y.data(), nullptr, nullptr, nullptr, nullptr};
    CHECK_STATUS(VBL_OK, vbl_lowrank_forward(stream, &l, step.data(), x.data(), &matrices));
  }
  void backward(vbl_stream *stream, bool with_dx = true) {
    const vbl_lowrank_matrices matrices = {a.data(),  bt.data(), p.data(),  nullptr,
                                           dy.data(), q.data(),  da.data(), dbt.data()};
    CHECK_STATUS(VBL_OK, vbl_lowrank_backward(stream, &l, step.data(), x.data(), &matrices,
                                              with_dx ? dx.data() : nullptr, scratch.data(), scratch_bytes));
  }
  Results results() const {
    return {p.get(),  Stored(y.get(), l.dtype).values(), q.get(), Stored(dx.get(), l.dtype).values(), da.get(),
            dbt.get()};
  }
};

Results run(vbl_stream *stream, const Case &c, int64_t shift = 0) {
  Call call(stream, c, shift);
  call.forward(stream);
  call.backward(stream);
  return call.results();
}

// Half a unit in the last place of a dtype, as a share of the number.
double rounding(int32_t dtype) { return dtype == VBL_BFLOAT16 ? 0x1p-8 : dtype == VBL_FLOAT16 ? 0x1p-11 : 0; }

void check_against_definition(const Case &c, const Results &found) {
  const vbl_lowrank &l = c.l;
  const size_t tokens = static_cast<size_t>(l.tokens), in = static_cast<size_t>(l.in_features),
               out = static_cast<size_t>(l.member[0].out_features), r = static_cast<size_t>(l.member[0].r);
  const std::vector<float> mask = mask_of(l, c.step), xs = c.x.values(), dys = c.dy.values(), as = c.a.values(),
                           bts = c.bt.values(), ys = c.y.values(), dxs = c.dx.values();
  const auto wide = [](const std::vector<float> &v) { return std::vector<double>(v.begin(), v.end()); };
  const auto squares = [](const std::vector<float> &v) {
    std::vector<double> of(v.begin(), v.end());
    for (double &e : of) e *= e;
    return of;
  };
  std::vector<double> p(tokens * r), q(tokens * r), y = wide(ys), dx = wide(dxs), da = wide(c.da), dbt = wide(c.dbt);
  // The sum of the squares of the products that an element is made of.
  std::vector<double> p_terms(tokens * r), q_terms(tokens * r), y_terms = squares(ys), dx_terms = squares(dxs),
                                                                da_terms = squares(c.da), dbt_terms = squares(c.dbt);
  const auto add = [](double factor, double of, double of_terms, double *sum, double *terms) {
    *sum += factor * of;
    *terms += factor * factor * of_terms;
  };
  const double scaling = l.member[0].scaling;
  for (size_t t = 0; t < tokens; ++t)
    for (size_t i = 0; i < r; ++i) {
      const size_t ti = t * r + i;
      for (size_t j = 0; j < in; ++j) {
        const double x = 1.0 * mask[t * in + j] * xs[t * in + j], factor = as[i * in + j];
        add(factor, x, x * x, &p[ti], &p_terms[ti]);
      }
      for (size_t o = 0; o < out; ++o) {
        const double dy = dys[t * out + o], factor = scaling * bts[i * out + o];
        add(factor, dy, dy * dy, &q[ti], &q_terms[ti]);
      }
      for (size_t o = 0; o < out; ++o) {
        add(scaling * bts[i * out + o], p[ti], p_terms[ti], &y[t * out + o], &y_terms[t * out + o]);
        add(scaling * dys[t * out + o], p[ti], p_terms[ti], &dbt[i * out + o], &dbt_terms[i * out + o]);
      }
      for (size_t j = 0; j < in; ++j) {
        const double kept = mask[t * in + j];
        add(kept * as[i * in + j], q[ti], q_terms[ti], &dx[t * in + j], &dx_terms[t * in + j]);
        add(kept * xs[t * in + j], q[ti], q_terms[ti], &da[i * in + j], &da_terms[i * in + j]);
      }
    }
  const struct {
    const char *name;
    const std::vector<float> &found;
    std::vector<double> &expected;
    const std::vector<double> &terms;
    double rounding;
  } outputs[] = {{"p", found.p, p, p_terms, 0},     {"y", found.y, y, y_terms, rounding(l.dtype)},
                 {"q", found.q, q, q_terms, 0},     {"dx", found.dx, dx, dx_terms, rounding(l.dtype)},
                 {"da", found.da, da, da_terms, 0}, {"dbt", found.dbt, dbt, dbt_terms, 0}};
  for (const auto &output : outputs) {
    // Errors are shares of the greatest element, or of the root of its terms' squares where that is more: of few elements
    // even the greatest may be what little its terms leave of each other. What rounding to the dtype may do to each element
    // is taken off first.
    double greatest = 1e-30;
    for (const double e : output.expected) greatest = std::max(greatest, std::fabs(e));
    for (const double e : output.terms) greatest = std::max(greatest, std::sqrt(e));
    for (size_t i = 0; i < output.expected.size() && i < output.found.size(); ++i) {
      double &expected = output.expected[i];
      const double allowed = output.rounding * std::fabs(expected), difference = output.found[i] - expected;
      if (std::fabs(difference) <= allowed)
        expected = output.found[i];
      else
        expected += difference > 0 ? allowed : -allowed;
    }
    const double error = check::error(output.found, output.expected, greatest);
    if (!(error < 1e-6))  // PyTorch's own float32 has up to 2.7e-6 in y and 2.3e-6 in dx
      check::failed(__FILE__, __LINE__, "%s: error %.3g; tokens %zu in %zu out %zu r %zu dropout %g dtypes %d %d",
                    output.name, error, tokens, in, out, r, static_cast<double>(l.dropout), l.dtype, l.factor_dtype);
  }
}

}  // namespace

TEST(low_rank_products_equal_their_definition) {
  const Shape shapes[] = {{1, 1, 1, 1},     {7, 5, 70, 2},     {2, 1030, 17, 3}, {33, 259, 300, 4},  {5, 129, 64, 5},
                          {33, 96, 131, 6}, {72, 33, 24, 8},   {40, 19, 8, 64},  {9, 1100, 130, 13}, {7, 300, 272, 16},
                          {33, 40, 65, 17}, {5, 144, 200, 33}, {9, 17, 9, 67},   {3, 2180, 257, 1}};
  check::for_each_device([&](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const Shape &s : shapes) {
      const Case c = make_case(random, s, s.in % 3 == 0 ? 0 : 0.3f);
      check_against_definition(c, run(stream, c));
    }
  });
}

// The same draws as vbl_dropout_mask's where a word is just the threshold, which happens once in 2^32 words: dropout is what
// makes it so for one of the first that have 24 bits.
TEST(a_word_at_the_threshold_is_kept) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 10);
    Case c = make_case(random, {1, 4096, 3, 2}, 0.5f);
    vbl::Dropout dropout{};
    vbl::set_key(dropout, c.step);
    dropout.module = c.l.member[0].module;
    const uint64_t first = static_cast<uint64_t>(c.l.first_token * c.l.in_features / 4);
    for (uint64_t block = first; block < first + 1024; ++block) {
      uint64_t words[4][1] = {{block}, {0}, {0}, {0}};
      vbl::dropout_words<vbl::PhiloxLane>(dropout, words);
      for (auto &word : words)
        if (static_cast<uint32_t>(word[0]) % 256 == 0 && static_cast<uint32_t>(word[0]) >> 31 != 0)
          c.l.dropout = static_cast<float>(static_cast<uint32_t>(word[0]) * 0x1p-32);
    }
    CHECK(c.l.dropout > 0.5f);
    check_against_definition(c, run(stream, c));
  });
}

TEST(other_dtypes_are_read_and_rounded) {
  const Shape shapes[] = {{5, 520, 264, 4}, {9, 257, 31, 3},  {6, 64, 280, 6},
                          {2, 9, 60, 17},   {6, 530, 270, 2}, {5, 265, 130, 1}};
  check::on_cuda([&](vbl_stream *stream) {
    check::Random random(check::seed() + 1);
    check::Sample sample;
    for (const Shape &s : shapes)
      for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16})
        for (const int32_t factor_dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
          if (!sample.takes()) continue;
          const Case c = make_case(random, s, s.r % 2 == 0 ? 0.25f : 0.0f, dtype, factor_dtype);
          check_against_definition(c, run(stream, c));
        }
  });
}

// The most tokens that a block of the forward pass takes, with more sums than it has threads and its whole mask; more
// than blocks of the backward pass take at least; rows of many windows; warps that take several groups of a block's
// tokens. From r = 33 on the forward pass adds all windows of a row in float32, 47 of them here: each addition is off by
// half a unit in the last place of a sum that does not exceed p's greatest by much, so all together by 47 · 2^-24, or
// 3e-6 of it, were they all off the same way; as chance has it, by the root of a third of 47, 2e-7.
TEST(many_terms_stay_accurate) {
  const Shape shapes[] = {{3, 6000, 20, 2},  {3590, 16, 12, 17}, {300, 8200, 40, 1},
                          {517, 20, 12, 33}, {517, 20, 12, 6},   {3, 6000, 20, 64}};
  check::for_each_device([&](vbl_stream *stream) {
    check::Random random(check::seed() + 2);
    for (const Shape &s : shapes) {
      const Case c = make_case(random, s, s.in == 8200 || s.tokens == 3590 ? 0.1f : 0.0f);
      check_against_definition(c, run(stream, c));
    }
  });
}

// The members of a group: cases that have x, dx, dropout and step in common. Their y and dy are blocks of columns of one
// matrix, and its rows, as those of x and dx, have others between them, which must stay as they are.
class Group {
 public:
  Group(check::Random &random, int64_t tokens, int64_t in, const std::vector<std::pair<int64_t, int32_t>> &members,
        float dropout, int32_t dtype, int32_t factor_dtype)
      : ldx_(Shape(tokens, in, 1, 1).in + random.between(0, 5)) {
    for (const auto &[out, r] : members) {
      const Shape shape(tokens, in, out, r);
      Case c = make_case(random, shape, dropout, dtype, factor_dtype);
      if (!cases_.empty()) {
        const Case &first = cases_.front();
        c.l.first_token = first.l.first_token;
        c.x = first.x;
        c.dx = first.dx;
        c.step = first.step;
      }
      cases_.push_back(c);
      width_ += shape.out;
    }
    ldy_ = width_ + random.between(0, 5);
  }

  // Each member as a group of its own; dx goes from one to the next.
  std::vector<Results> one_after_the_other(vbl_stream *stream) const {
    std::vector<Results> results;
    for (Case c : cases_) {
      if (!results.empty()) c.dx = Stored(results.back().dx, c.l.dtype);
      results.push_back(run(stream, c));
    }
    for (Results &r : results) r.dx = results.back().dx;
    return results;
  }

  std::vector<Results> together(vbl_stream *stream) const {
    vbl_lowrank l = cases_.front().l;
    l.ldx = ldx_;
    l.members = static_cast<int32_t>(cases_.size());
    const int64_t element = l.dtype == VBL_FLOAT32 ? 4 : 2;
    Rows x(l.tokens, ldx_ * element), dx = x, y(l.tokens, ldy_ * element), dy = y;
    x.put(0, l.in_features * element, cases_.front().x);
    dx.put(0, l.in_features * element, cases_.front().dx);
    std::vector<Call> calls;
    std::vector<int64_t> columns;
    int64_t column = 0;
    for (size_t m = 0; m < cases_.size(); ++m) {
      const Case &c = cases_[m];
      l.member[m] = c.l.member[0];
      l.member[m].ldy = ldy_;
      columns.push_back(column * element);
      y.put(columns[m], l.member[m].out_features * element, c.y);
      dy.put(columns[m], l.member[m].out_features * element, c.dy);
      column += l.member[m].out_features;
      calls.emplace_back(stream, c);
    }
    check::Array<unsigned char> xs(stream, x.bytes), dxs(stream, dx.bytes), ys(stream, y.bytes), dys(stream, dy.bytes);
    std::vector<vbl_lowrank_matrices> matrices;
    for (size_t m = 0; m < calls.size(); ++m) {
      const Call &c = calls[m];
      matrices.push_back({c.a.data(), c.bt.data(), c.p.data(), ys.data() + columns[m], dys.data() + columns[m],
                          c.q.data(), c.da.data(), c.dbt.data()});
    }
    const check::Array<vbl_step> step(stream, {cases_.front().step});
    const check::Array<unsigned char> scratch(stream, vbl_lowrank_scratch_bytes(stream, &l), 0xFF);
    CHECK_STATUS(VBL_OK, vbl_lowrank_forward(stream, &l, step.data(), xs.data(), matrices.data()));
    CHECK_STATUS(VBL_OK, vbl_lowrank_backward(stream, &l, step.data(), xs.data(), matrices.data(), dxs.data(),
                                              scratch.data(), scratch.size()));
    CHECK(xs.get() == x.bytes && dys.get() == dy.bytes);
    dx.bytes = dxs.get();
    y.bytes = ys.get();
    std::vector<Results> results;
    for (size_t m = 0; m < calls.size(); ++m) {
      results.push_back(calls[m].results());
      results[m].y = y.take(columns[m], l.member[m].out_features * element, l.dtype).values();
      results[m].dx = dx.take(0, l.in_features * element, l.dtype).values();
    }
    CHECK(dx.is_garbage(l.in_features * element) && y.is_garbage(width_ * element));
    return results;
  }

  size_t members() const { return cases_.size(); }

 private:
  static constexpr unsigned char kGarbage = 0x7E;  // a number in every dtype, for ops that would touch it

  struct Rows {
    int64_t count, stride;
    std::vector<unsigned char> bytes;

    Rows(int64_t rows, int64_t row_bytes)
        : count(rows), stride(row_bytes), bytes(static_cast<size_t>(rows * row_bytes), kGarbage) {}

    void put(int64_t at, int64_t width, const Stored &from) {
      for (int64_t row = 0; row < count; ++row)
        std::memcpy(bytes.data() + row * stride + at, from.bytes().data() + row * width, static_cast<size_t>(width));
    }
    Stored take(int64_t at, int64_t width, int32_t dtype) const {
      std::vector<unsigned char> taken;
      for (int64_t row = 0; row < count; ++row) {
        const auto begin = bytes.begin() + row * stride + at;
        taken.insert(taken.end(), begin, begin + width);
      }
      return Stored(taken, dtype);
    }
    bool is_garbage(int64_t from) const {
      for (int64_t row = 0; row < count; ++row)
        for (int64_t i = from; i < stride; ++i)
          if (bytes[static_cast<size_t>(row * stride + i)] != kGarbage) return false;
      return true;
    }
  };

  std::vector<Case> cases_;
  int64_t ldx_, ldy_ = 0, width_ = 0;
};

TEST(a_group_is_its_members_one_after_the_other) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 11);
    const auto check_group = [&](const Group &group) {
      const std::vector<Results> expected = group.one_after_the_other(stream), found = group.together(stream);
      for (size_t m = 0; m < group.members(); ++m) CHECK(same_bits(expected[m], found[m]));
      if (on_cpu(stream))
        for (const int32_t threads : {2, 5}) {
          const std::vector<Results> again = group.together(check::CpuStream(threads));
          for (size_t m = 0; m < group.members(); ++m) CHECK(same_bits(expected[m], again[m]));
        }
    };
    const int32_t f32 = VBL_FLOAT32, bf16 = VBL_BFLOAT16, f16 = VBL_FLOAT16;
    check_group(Group(random, 70, 300, {{300, 4}, {75, 4}, {75, 4}}, 0, f32, f32));
    check_group(Group(random, 37, 520, {{130, 2}, {257, 6}, {12, 1}, {300, 17}}, 0.3f, f32, f32));
    check_group(Group(random, 300, 40, {{24, 3}, {24, 3}}, 0.1f, f32, f32));
    check_group(Group(random, 5, 2100, {{40, 33}}, 0.2f, f32, f32));
    if (on_cpu(stream)) return;
    check_group(Group(random, 18, 264, {{264, 4}, {65, 4}, {66, 5}}, 0.25f, bf16, f32));
    check_group(Group(random, 9, 96, {{31, 2}, {128, 9}}, 0, f16, bf16));
  });
}

TEST(any_number_of_threads_gives_the_same_bits) {
  check::Random random(check::seed() + 3);
  for (const Shape &s : {Shape{66, 300, 200, 4}, Shape{300, 512, 256, 1}, Shape{40, 19, 8, 64}}) {
    const Case c = make_case(random, s, 0.3f);
    const Results one = run(check::CpuStream(1), c);
    for (const int32_t threads : {2, 5}) CHECK(same_bits(one, run(check::CpuStream(threads), c)));
  }
}

TEST(alignment_does_not_change_the_bits) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 4);
    for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
      if (on_cpu(stream) && dtype != VBL_FLOAT32) continue;
      const Case c = make_case(random, {18, 296, 528, 4}, 0.2f, dtype, dtype);
      const Results aligned = run(stream, c);
      for (const int64_t shift : {1, 4}) CHECK(same_bits(aligned, run(stream, c, shift)));
    }
  });
}

TEST(every_run_gives_the_same_bits) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 5);
    const Case c = make_case(random, {38, 300, 140, 6}, 0.2f);
    const Results first = run(stream, c);
    for (int again = 1; again < 5; ++again) CHECK(same_bits(first, run(stream, c)));
  });
}

TEST(without_dx_the_other_gradients_are_the_same) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 6);
    const Case c = make_case(random, {37, 148, 80, 4}, 0.5f);
    const Results all = run(stream, c);
    Call call(stream, c);
    call.forward(stream);
    call.backward(stream, false);
    const Results some = call.results();
    CHECK(check::same_bits(all.q, some.q) && check::same_bits(all.da, some.da) && check::same_bits(all.dbt, some.dbt));
    CHECK(check::same_bits(some.dx, c.dx.values()));
  });
}

// What belongs to one token does not depend on the tokens beside it; gradients of the factors add up.
TEST(a_batch_passed_in_pieces_equals_the_whole) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 7);
    for (const Shape &s : {Shape{53, 2600, 30, 4}, Shape{97, 150, 140, 5}}) {
      const Case c = make_case(random, s, 0.4f);
      const int64_t cut = random.between(1, s.tokens - 1);
      const Results whole = run(stream, c);
      Results joined;
      joined.da = c.da;
      joined.dbt = c.dbt;
      for (const bool head : {true, false}) {
        Case piece = c;
        piece.l.tokens = head ? cut : s.tokens - cut;
        piece.l.first_token += head ? 0 : cut;
        const int64_t from = head ? 0 : cut;
        piece.x = c.x.part(from * s.in, piece.l.tokens * s.in);
        piece.dx = c.dx.part(from * s.in, piece.l.tokens * s.in);
        piece.y = c.y.part(from * s.out, piece.l.tokens * s.out);
        piece.dy = c.dy.part(from * s.out, piece.l.tokens * s.out);
        piece.da = joined.da;
        piece.dbt = joined.dbt;
        const Results found = run(stream, piece);
        const auto append = [](std::vector<float> &to, const std::vector<float> &v) {
          to.insert(to.end(), v.begin(), v.end());
        };
        append(joined.p, found.p);
        append(joined.y, found.y);
        append(joined.q, found.q);
        append(joined.dx, found.dx);
        joined.da = found.da;
        joined.dbt = found.dbt;
      }
      CHECK(check::same_bits(whole.p, joined.p) && check::same_bits(whole.y, joined.y));
      CHECK(check::same_bits(whole.q, joined.q) && check::same_bits(whole.dx, joined.dx));
      check_against_definition(c, joined);
    }
  });
}

TEST(no_tokens_change_nothing) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 8);
    const Case c = make_case(random, {0, 30, 20, 4}, 0.5f);
    const Results found = run(stream, c);
    CHECK(check::same_bits(found.da, c.da) && check::same_bits(found.dbt, c.dbt));
  });
}

// The step is read when a graph is launched, not when it is captured.
TEST(a_graph_draws_the_mask_of_its_step) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed() + 9);
    Case c = make_case(random, {10, 150, 60, 3}, 0.5f, VBL_BFLOAT16);
    Call captured(stream, c);
    CHECK_STATUS(VBL_OK, vbl_graph_begin(stream));
    captured.forward(stream);
    captured.backward(stream);
    vbl_graph *graph = nullptr;
    CHECK_STATUS(VBL_OK, vbl_graph_end(stream, &graph));
    Results last;
    for (int replay = 0; replay < 2; ++replay) {
      c.step.step += 1;
      c.step.micro_batch = replay;
      captured.step.set({c.step});
      captured.y.set(c.y.bytes());
      captured.dx.set(c.dx.bytes());
      captured.da.set(c.da);
      captured.dbt.set(c.dbt);
      CHECK_STATUS(VBL_OK, vbl_graph_launch(stream, graph));
      const Results found = captured.results();
      CHECK(same_bits(found, run(stream, c)));
      CHECK(!check::same_bits(found.p, last.p));
      last = found;
    }
    CHECK_STATUS(VBL_OK, vbl_graph_destroy(graph));
  });
}

TEST(low_rank_products_refuse_what_they_cannot_take) {
  check::for_each_device([](vbl_stream *stream) {
    check::Array<float> v(stream, 8, 0), out(stream, 8, 0), p(stream, 4, 0), gradients(stream, 8, 0);
    check::Array<unsigned char> scratch(stream, 4096, 0);
    const vbl_lowrank good = {1, 2, 0, 0, 0.5f, VBL_FLOAT32, VBL_FLOAT32, 1, {{2, 0, 1, 0, 1}}};
    const vbl_step step = check::make_step(1, 1, 0);
    check::Array<vbl_step> steps(stream, {step});
    float *const x = v.data(), *const y = out.data();
    const vbl_lowrank_matrices all = {x, x, p.data(), y, x, p.data() + 2, gradients.data(), gradients.data() + 2};
    const auto forward = [&](const vbl_lowrank &l, const vbl_step *s) {
      return vbl_lowrank_forward(stream, &l, s, x, &all);
    };
    const auto backward = [&](const vbl_lowrank &l, const vbl_step *s, int64_t bytes) {
      return vbl_lowrank_backward(stream, &l, s, x, &all, y, scratch.data(), bytes);
    };
    CHECK_STATUS(VBL_OK, forward(good, steps.data()));
    CHECK_STATUS(VBL_OK, backward(good, steps.data(), 4096));
    const auto refused = [&](vbl_status status, const char *word, auto change) {
      vbl_lowrank l = good;
      vbl_step s = step;
      change(l, s);
      steps.set({s});
      CHECK_STATUS(status, forward(l, steps.data()));
      if (std::strstr(vbl_last_error(), word) == nullptr)
        check::failed(__FILE__, __LINE__, "expected \"%s\" in: %s", word, vbl_last_error());
      CHECK_STATUS(status, backward(l, steps.data(), 4096));
      CHECK_STATUS(status, vbl_dropout_mask(stream, &l, 0, steps.data(), y));
      steps.set({step});
    };
    const vbl_status invalid = VBL_INVALID_ARGUMENT;
    refused(invalid, "tokens", [](vbl_lowrank &l, vbl_step &) { l.tokens = -1; });
    refused(invalid, "tokens", [](vbl_lowrank &l, vbl_step &) { l.tokens = INT64_MAX; });
    refused(invalid, "in_features", [](vbl_lowrank &l, vbl_step &) { l.in_features = 0; });
    refused(invalid, "out_features", [](vbl_lowrank &l, vbl_step &) { l.member[0].out_features = 0; });
    refused(invalid, "out of range", [](vbl_lowrank &l, vbl_step &) { l.member[0].out_features = INT64_MAX; });
    refused(invalid, "r must", [](vbl_lowrank &l, vbl_step &) { l.member[0].r = 0; });
    refused(invalid, "r must", [](vbl_lowrank &l, vbl_step &) { l.member[0].r = 65537; });
    refused(invalid, "scaling", [](vbl_lowrank &l, vbl_step &) { l.member[0].scaling = INFINITY; });
    refused(invalid, "members", [](vbl_lowrank &l, vbl_step &) { l.members = 0; });
    refused(invalid, "members", [](vbl_lowrank &l, vbl_step &) { l.members = VBL_LOWRANK_MEMBERS + 1; });
    refused(invalid, "out_features", [](vbl_lowrank &l, vbl_step &) {
      l.members = 2;
      l.member[1].r = 1;
    });
    refused(invalid, "ldx", [](vbl_lowrank &l, vbl_step &) { l.ldx = 1; });
    refused(invalid, "ldx", [](vbl_lowrank &l, vbl_step &) { l.ldx = -2; });
    refused(invalid, "out of range", [](vbl_lowrank &l, vbl_step &) { l.ldx = INT64_MAX; });
    refused(invalid, "ldy", [](vbl_lowrank &l, vbl_step &) { l.member[0].ldy = 1; });
    refused(invalid, "out of range", [](vbl_lowrank &l, vbl_step &) { l.member[0].ldy = INT64_MAX; });
    refused(invalid, "dropout", [](vbl_lowrank &l, vbl_step &) { l.dropout = 1; });
    refused(invalid, "dropout", [](vbl_lowrank &l, vbl_step &) { l.dropout = -0.1f; });
    refused(invalid, "dropout", [](vbl_lowrank &l, vbl_step &) { l.dropout = NAN; });
    refused(invalid, "first_token", [](vbl_lowrank &l, vbl_step &) { l.first_token = -1; });
    refused(invalid, "unknown dtype", [](vbl_lowrank &l, vbl_step &) { l.dtype = 3; });
    refused(invalid, "unknown factor_dtype", [](vbl_lowrank &l, vbl_step &) { l.factor_dtype = -1; });
    if (on_cpu(stream)) {
      refused(invalid, "micro_batch", [](vbl_lowrank &, vbl_step &s) { s.micro_batch = 65536; });
      refused(VBL_UNSUPPORTED, "float32", [](vbl_lowrank &l, vbl_step &) { l.dtype = VBL_BFLOAT16; });
      refused(VBL_UNSUPPORTED, "float32", [](vbl_lowrank &l, vbl_step &) { l.factor_dtype = VBL_FLOAT16; });
    }
    CHECK_STATUS(invalid, forward(good, nullptr));
    CHECK(std::strstr(vbl_last_error(), "step") != nullptr);
    vbl_lowrank undropped = good;
    undropped.dropout = 0;
    CHECK_STATUS(VBL_OK, forward(undropped, nullptr));
    CHECK_STATUS(invalid, vbl_lowrank_forward(nullptr, &good, steps.data(), x, &all));
    CHECK_STATUS(invalid, vbl_lowrank_forward(stream, nullptr, steps.data(), x, &all));
    CHECK_STATUS(invalid, vbl_lowrank_forward(stream, &good, steps.data(), nullptr, &all));
    CHECK_STATUS(invalid, vbl_lowrank_forward(stream, &good, steps.data(), x, nullptr));
    CHECK_STATUS(invalid, vbl_lowrank_backward(stream, &good, steps.data(), nullptr, &all, y, scratch.data(), 4096));
    CHECK_STATUS(invalid, vbl_lowrank_backward(stream, &good, steps.data(), x, nullptr, y, scratch.data(), 4096));
    // What an op reads or writes, of every member.
    vbl_lowrank pair = good;
    pair.members = 2;
    pair.member[1] = good.member[0];
    const auto without = [&](const char *name, bool forwards, bool backwards, auto drop) {
      float *const g = gradients.data();
      vbl_lowrank_matrices both[] = {all, {x, x, p.data() + 1, y + 2, x, p.data() + 3, g + 4, g + 6}};
      drop(both[1]);
      const auto refuses = [&](bool refuses, vbl_status status) {
        CHECK_STATUS(refuses ? invalid : VBL_OK, status);
        if (refuses && std::strstr(vbl_last_error(), name) == nullptr)
          check::failed(__FILE__, __LINE__, "expected \"%s\" in: %s", name, vbl_last_error());
      };
      refuses(forwards, vbl_lowrank_forward(stream, &pair, steps.data(), x, both));
      refuses(backwards, vbl_lowrank_backward(stream, &pair, steps.data(), x, both, y, scratch.data(), 4096));
    };
    without("].a ", true, true, [](vbl_lowrank_matrices &m) { m.a = nullptr; });
    without("].bt ", true, true, [](vbl_lowrank_matrices &m) { m.bt = nullptr; });
    without("].reduced ", true, true, [](vbl_lowrank_matrices &m) { m.reduced = nullptr; });
    without("].y ", true, false, [](vbl_lowrank_matrices &m) { m.y = nullptr; });
    without("].dy ", false, true, [](vbl_lowrank_matrices &m) { m.dy = nullptr; });
    without("].dreduced ", false, true, [](vbl_lowrank_matrices &m) { m.dreduced = nullptr; });
    without("].da ", false, true, [](vbl_lowrank_matrices &m) { m.da = nullptr; });
    without("].dbt ", false, true, [](vbl_lowrank_matrices &m) { m.dbt = nullptr; });
    CHECK_STATUS(invalid, vbl_dropout_mask(stream, &good, 0, steps.data(), nullptr));
    for (const int32_t member : {-1, 1}) {
      CHECK_STATUS(invalid, vbl_dropout_mask(stream, &good, member, steps.data(), y));
      CHECK(std::strstr(vbl_last_error(), "member") != nullptr);
    }
    const int64_t needed = vbl_lowrank_scratch_bytes(stream, &good);
    CHECK(needed >= 0);
    if (needed > 0) {
      CHECK_STATUS(invalid, backward(good, steps.data(), needed - 1));
      CHECK(std::strstr(vbl_last_error(), "scratch") != nullptr);
    }
    vbl_lowrank bad = good;
    bad.member[0].r = -1;
    CHECK(vbl_lowrank_scratch_bytes(stream, &bad) == -1);
    CHECK(vbl_lowrank_scratch_bytes(nullptr, &good) == -1);
    bad = good;
    bad.dtype = VBL_BFLOAT16;
    if (on_cpu(stream)) CHECK(vbl_lowrank_scratch_bytes(stream, &bad) == -VBL_UNSUPPORTED);
  });
}
