// Attention forward and backward against their definition in float64.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"

namespace {

// Sequences of tokens, each padded to one length.
struct Padded {
  int32_t batch, length;
  std::vector<int32_t> lengths;  // empty: no padding

  int64_t of(int64_t b) const { return lengths.empty() ? length : lengths[static_cast<size_t>(b)]; }
  int64_t rows() const { return int64_t{batch} * length; }
  vbl_sequences sequences() const { return {rows(), length, nullptr, lengths.empty() ? nullptr : lengths.data()}; }
  // The first row of each without padding, each preceded by so many empty ones, and the number of rows.
  std::vector<int32_t> starts(int32_t empty) const {
    std::vector<int32_t> starts = {0};
    for (int64_t b = 0; b < batch; ++b) {
      starts.insert(starts.end(), static_cast<size_t>(empty), starts.back());
      starts.push_back(starts.back() + static_cast<int32_t>(of(b)));
    }
    return starts;
  }
  // The rows of x [rows, width] that are not padding.
  std::vector<float> pack(const std::vector<float> &x) const {
    const int64_t width = static_cast<int64_t>(x.size()) / rows();
    std::vector<float> packed;
    for (int64_t b = 0; b < batch; ++b) {
      const auto first = x.begin() + b * length * width;
      packed.insert(packed.end(), first, first + of(b) * width);
    }
    return packed;
  }
  // What is at padding, in every token's row of x [rows, width], becomes NaN.
  void poison(std::vector<float> &x) const {
    const int64_t width = static_cast<int64_t>(x.size()) / rows();
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t e = of(b) * width; e < length * width; ++e) x[static_cast<size_t>(b * length * width + e)] = NAN;
  }
};

struct Case {
  vbl_attention attention;  // with neither rows nor lengths
  Padded queries, keys;
  bool apart = false;  // whether keys are described apart from queries
  std::vector<float> q, k, v, dout;

  int64_t q_elements() const { return queries.rows() * attention.heads * attention.head_dim; }
  int64_t kv_elements() const { return keys.rows() * attention.kv_heads * attention.head_dim; }
  size_t lse_elements() const { return static_cast<size_t>(queries.rows() * attention.heads); }
  vbl_attention padded() const {
    vbl_attention a = attention;
    a.queries = queries.sequences();
    if (apart) a.keys = keys.sequences();
    return a;
  }
  std::string name() const {
    const vbl_attention &a = attention;
    char text[200];
    std::snprintf(text, sizeof text, "batch %d length %d keys %d heads %d kv_heads %d head_dim %d causal %d padding %d",
                  a.batch, queries.length, keys.length, a.heads, a.kv_heads, a.head_dim, a.causal,
                  !queries.lengths.empty());
    return text;
  }
};

// more: keys that a sequence has beyond its queries at most; below 0, they are not described apart.
Case make_case(check::Random &random, int32_t batch, int32_t length, int32_t heads, int32_t kv_heads, int32_t head_dim,
               bool causal, bool padded, int32_t more = -1) {
  Case c;
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  c.attention = {batch, heads, kv_heads, head_dim, causal, scale, {}, {}, 0, 0, 0, VBL_FLOAT32, 0, 0, nullptr};
  c.queries = {batch, length, {}};
  for (int32_t b = 0; padded && b < batch; ++b)
    c.queries.lengths.push_back(static_cast<int32_t>(random.between(1, length)));
  c.keys = c.queries;
  c.apart = more >= 0;
  if (c.apart) c.keys.length += more;
  for (int32_t &keys : c.keys.lengths)
    if (c.apart) keys += static_cast<int32_t>(random.between(0, more));
  c.q = check::normals(random, c.q_elements());
  c.k = check::normals(random, c.kv_elements());
  c.v = check::normals(random, c.kv_elements());
  c.dout = check::normals(random, c.q_elements());
  for (std::vector<float> *x : {&c.q, &c.dout}) c.queries.poison(*x);
  for (std::vector<float> *x : {&c.k, &c.v}) c.keys.poison(*x);
  return c;
}

struct Results {
  std::vector<float> out, lse, dq, dk, dv;
};

Results run(const Case &c, int32_t threads) {
  check::CpuStream stream(threads);
  const vbl_attention a = c.padded();
  const std::vector<float> q(static_cast<size_t>(c.q_elements()), NAN), kv(static_cast<size_t>(c.kv_elements()), NAN);
  Results r{q, std::vector<float>(c.lse_elements(), NAN), q, kv, kv};
  const int64_t bytes = vbl_attention_scratch_bytes(stream, &a);
  std::vector<unsigned char> scratch(static_cast<size_t>(bytes), 0xFF);  // NaN in every float
  CHECK_STATUS(VBL_OK, vbl_attention_forward(stream, &a, c.q.data(), c.k.data(), c.v.data(), r.out.data(), r.lse.data(),
                                             scratch.data(), bytes));
  Results seen = r;  // the backward pass must not read padding here either
  c.queries.poison(seen.out);
  for (int64_t h = 0; h < a.heads; ++h)
    for (int64_t b = 0; b < a.batch; ++b)
      for (int64_t i = c.queries.of(b); i < c.queries.length; ++i)
        seen.lse[static_cast<size_t>(h * c.queries.rows() + b * c.queries.length + i)] = NAN;
  std::fill(scratch.begin(), scratch.end(), 0xFF);
  CHECK_STATUS(VBL_OK,
               vbl_attention_backward(stream, &a, c.q.data(), c.k.data(), c.v.data(), seen.out.data(), seen.lse.data(),
                                      c.dout.data(), r.dq.data(), r.dk.data(), r.dv.data(), scratch.data(), bytes));
  return r;
}

// The numbers of lse [heads, rows] that are not of padding.
std::vector<float> pack_lse(const Case &c, const std::vector<float> &lse) {
  std::vector<float> packed;
  for (int64_t h = 0; h < c.attention.heads; ++h) {
    const auto first = lse.begin() + h * c.queries.rows();
    const std::vector<float> head = c.queries.pack({first, first + c.queries.rows()});
    packed.insert(packed.end(), head.begin(), head.end());
  }
  return packed;
}

// The same without padding, each sequence preceded by so many empty ones.
Results run_packed(const Case &c, int32_t threads, int32_t empty = 0) {
  check::CpuStream stream(threads);
  const std::vector<int32_t> starts = c.queries.starts(empty), key_starts = c.keys.starts(empty);
  vbl_attention a = c.attention;
  a.batch *= 1 + empty;
  a.queries = {starts.back(), c.queries.length, starts.data(), nullptr};
  if (c.apart) a.keys = {key_starts.back(), c.keys.length, key_starts.data(), nullptr};
  const int64_t bytes = vbl_attention_scratch_bytes(stream, &a);
  const std::vector<float> q = c.queries.pack(c.q), dout = c.queries.pack(c.dout);
  const std::vector<float> k = c.keys.pack(c.k), v = c.keys.pack(c.v);
  const std::vector<float> unset(q.size(), NAN), kv_unset(k.size(), NAN);
  Results r{unset, std::vector<float>(q.size() / static_cast<size_t>(a.head_dim), NAN), unset, kv_unset, kv_unset};
  std::vector<unsigned char> scratch(static_cast<size_t>(bytes), 0xFF);
  CHECK_STATUS(VBL_OK, vbl_attention_forward(stream, &a, q.data(), k.data(), v.data(), r.out.data(), r.lse.data(),
                                             scratch.data(), bytes));
  std::fill(scratch.begin(), scratch.end(), 0xFF);
  CHECK_STATUS(VBL_OK,
               vbl_attention_backward(stream, &a, q.data(), k.data(), v.data(), r.out.data(), r.lse.data(), dout.data(),
                                      r.dq.data(), r.dk.data(), r.dv.data(), scratch.data(), bytes));
  return r;
}

// The same of columns of wider matrices: q, and k beside v, or all three side by side. Between rows everything stays.
Results run_side_by_side(const Case &c, int32_t threads) {
  check::CpuStream stream(threads);
  const int64_t rows = c.queries.rows(), key_rows = c.keys.rows();
  vbl_attention a = c.padded();
  const int64_t width = int64_t{a.heads} * a.head_dim, kv_width = int64_t{a.kv_heads} * a.head_dim;
  a.ldq = a.ldkv = width + 2 * kv_width + 1;
  if (c.apart) a.ldq = width + 1, a.ldkv = 2 * kv_width + 1;
  a.ldout = width + 1;
  const std::vector<float> kv = check::side_by_side(key_rows, {c.k, c.v});
  const std::vector<float> q = c.apart ? check::side_by_side(rows, {c.q}) : check::side_by_side(rows, {c.q, c.k, c.v});
  const float *k = c.apart ? kv.data() : q.data() + width;
  std::vector<float> dq(q.size(), 7), dkv(kv.size(), 7), out(static_cast<size_t>(rows * a.ldout), 7);
  float *dk = c.apart ? dkv.data() : dq.data() + width;
  Results r{c.q, std::vector<float>(c.lse_elements(), NAN), c.q, c.k, c.v};
  const int64_t bytes = vbl_attention_scratch_bytes(stream, &a);
  std::vector<unsigned char> scratch(static_cast<size_t>(bytes), 0xFF);
  CHECK_STATUS(VBL_OK, vbl_attention_forward(stream, &a, q.data(), k, k + kv_width, out.data(), r.lse.data(),
                                             scratch.data(), bytes));
  const std::vector<float> dout = check::side_by_side(rows, {c.dout});
  CHECK_STATUS(VBL_OK, vbl_attention_backward(stream, &a, q.data(), k, k + kv_width, out.data(), r.lse.data(),
                                              dout.data(), dq.data(), dk, dk + kv_width, scratch.data(), bytes));
  const auto take = [](const float *wide, int64_t count, int64_t columns, int64_t ld, std::vector<float> &to) {
    for (int64_t row = 0; row < count; ++row) std::copy_n(wide + row * ld, columns, to.begin() + row * columns);
  };
  take(out.data(), rows, width, a.ldout, r.out);
  take(dq.data(), rows, width, a.ldq, r.dq);
  take(dk, key_rows, kv_width, a.ldkv, r.dk);
  take(dk + kv_width, key_rows, kv_width, a.ldkv, r.dv);
  for (const auto &[wide, ld] : {std::pair(&out, a.ldout), {&dq, a.ldq}})
    for (int64_t row = 1; row <= rows; ++row) CHECK((*wide)[static_cast<size_t>(row * ld - 1)] == 7);
  for (int64_t row = 1; c.apart && row <= key_rows; ++row) CHECK(dkv[static_cast<size_t>(row * a.ldkv - 1)] == 7);
  return r;
}

// Keys and values in pages in any order, side by side, with pages of nobody between them.
struct Pages {
  Pages(check::Random &random, const Case &c, int32_t rows) : c(c), blocks((c.keys.length + rows - 1) / rows + 1) {
    attention = c.padded();
    attention.page_rows = rows;
    attention.blocks = blocks;
    for (int32_t b = 0; b < attention.batch; ++b) lengths.push_back(static_cast<int32_t>(c.keys.of(b)));
    std::vector<int32_t> free;
    for (int32_t page = 0; page < attention.batch * blocks + 3; ++page) free.push_back(page);
    const int64_t width = int64_t{attention.kv_heads} * attention.head_dim;
    attention.ldkv = 2 * width + 1;
    attention.keys = {static_cast<int64_t>(free.size()) * rows, c.keys.length, nullptr, lengths.data()};
    kv.assign(static_cast<size_t>(attention.keys.rows * attention.ldkv), NAN);
    for (int32_t b = 0; b < attention.batch; ++b)
      for (int32_t block = 0; block < blocks; ++block) {
        if (block * rows >= lengths[static_cast<size_t>(b)]) {
          table.push_back(-1);
          continue;
        }
        const size_t draw = static_cast<size_t>(random.between(0, static_cast<int64_t>(free.size()) - 1));
        table.push_back(free[draw]);
        free.erase(free.begin() + static_cast<std::ptrdiff_t>(draw));
        for (int64_t i = 0; i < rows && block * rows + i < lengths[static_cast<size_t>(b)]; ++i) {
          const int64_t from = (b * int64_t{c.keys.length} + block * rows + i) * width;
          const auto to = kv.begin() + (int64_t{table.back()} * rows + i) * attention.ldkv;
          std::copy_n(c.k.begin() + from, width, to);
          std::copy_n(c.v.begin() + from, width, to + width);
        }
      }
    attention.block_table = table.data();
  }

  vbl_status forward(const vbl_attention &a, int32_t threads, Results &r) const {
    check::CpuStream stream(threads);
    r = {std::vector<float>(c.q.size(), NAN), std::vector<float>(c.lse_elements(), NAN), {}, {}, {}};
    const int64_t bytes = std::max<int64_t>(0, vbl_attention_scratch_bytes(stream, &a));
    std::vector<unsigned char> scratch(static_cast<size_t>(bytes), 0xFF);
    const int64_t width = int64_t{c.attention.kv_heads} * c.attention.head_dim;
    return vbl_attention_forward(stream, &a, c.q.data(), kv.data(), kv.data() + width, r.out.data(), r.lse.data(),
                                 scratch.data(), bytes);
  }

  const Case &c;
  int32_t blocks;
  vbl_attention attention;
  std::vector<int32_t> lengths, table;
  std::vector<float> kv;
};

bool same_bits(const Results &a, const Results &b) {
  return check::same_bits(a.out, b.out) && check::same_bits(a.lse, b.lse) && check::same_bits(a.dq, b.dq) &&
         check::same_bits(a.dk, b.dk) && check::same_bits(a.dv, b.dv);
}

// The definition in float64, one query at a time; padding gives 0.
struct Reference {
  std::vector<double> out, lse, dq, dk, dv;
  double greatest_score = 0;   // of scale · sum |q k|, which bounds the rounding errors of scores
  double greatest_dscore = 0;  // of the terms of a score's gradient, which cancel where a query sees one key only

  explicit Reference(const Case &c)
      : out(c.q.size()), lse(c.lse_elements()), dq(c.q.size()), dk(c.k.size()), dv(c.k.size()) {
    const vbl_attention &a = c.attention;
    const double scale = a.scale;
    const int64_t group = a.heads / a.kv_heads;
    for (int64_t b = 0; b < a.batch; ++b)
      for (int64_t h = 0; h < a.heads; ++h)
        for (int64_t i = 0; i < c.queries.of(b); ++i) {
          const size_t query = at(a, c.queries, b, i, h, a.heads);
          const int64_t keys = a.causal ? i + 1 + c.keys.of(b) - c.queries.of(b) : c.keys.of(b);
          std::vector<double> p(static_cast<size_t>(keys)), dp(p.size());
          double most = -INFINITY, sum = 0, delta = 0;
          const auto key = [&](size_t j) { return at(a, c.keys, b, static_cast<int64_t>(j), h / group, a.kv_heads); };
          for (size_t j = 0; j < p.size(); ++j) {
            double magnitude = 0;
            for (size_t e = 0; e < static_cast<size_t>(a.head_dim); ++e) {
              const double product = scale * c.q[query + e] * c.k[key(j) + e];
              p[j] += product;
              magnitude += std::fabs(product);
              dp[j] += static_cast<double>(c.dout[query + e]) * c.v[key(j) + e];
            }
            greatest_score = std::fmax(greatest_score, magnitude);
            most = std::fmax(most, p[j]);
          }
          for (double &x : p) sum += x = std::exp(x - most);
          lse[static_cast<size_t>(h * c.queries.rows() + b * c.queries.length + i)] = most + std::log(sum);
          for (size_t j = 0; j < p.size(); ++j) delta += (p[j] /= sum) * dp[j];
          for (size_t j = 0; j < p.size(); ++j) {
            const double ds = scale * p[j] * (dp[j] - delta);
            greatest_dscore = std::fmax(greatest_dscore, scale * p[j] * (std::fabs(dp[j]) + std::fabs(delta)));
            for (size_t e = 0; e < static_cast<size_t>(a.head_dim); ++e) {
              out[query + e] += p[j] * c.v[key(j) + e];
              dq[query + e] += ds * c.k[key(j) + e];
              dk[key(j) + e] += ds * c.q[query + e];
              dv[key(j) + e] += p[j] * c.dout[query + e];
            }
          }
        }
  }

  static size_t at(const vbl_attention &a, const Padded &rows, int64_t b, int64_t token, int64_t head, int64_t heads) {
    return static_cast<size_t>(((b * rows.length + token) * heads + head) * a.head_dim);
  }
};

// With u = 2^-24 and S the magnitudes of a score's terms: rounding scale · q, the score and the log of the sum puts 3 u S
// on a score, which is the relative error of its probability and of all that follows. The sums over keys, relative to
// the greatest result, add 10 u at most in some hundred seeds.
void check_against_definition(const Case &c, const Results &found) {
  const Reference reference(c);
  const double bound = std::ldexp(16 + 4 * reference.greatest_score, -24);
  const struct {
    const char *name;
    const std::vector<float> &found;
    const std::vector<double> &expected;
    double terms;
  } outputs[] = {{"out", found.out, reference.out, 0},
                 {"lse", found.lse, reference.lse, 1},
                 {"dq", found.dq, reference.dq, reference.greatest_dscore},
                 {"dk", found.dk, reference.dk, reference.greatest_dscore},
                 {"dv", found.dv, reference.dv, 0}};
  for (const auto &output : outputs) {
    const double error = check::error(output.found, output.expected, output.terms);
    if (!(error < bound))
      check::failed(__FILE__, __LINE__, "%s: error %.3g, bound %.3g; %s", output.name, error, bound, c.name().c_str());
  }
}

void check_case(const Case &c) {
  const Results one = run(c, 1);
  check_against_definition(c, one);
  for (int32_t threads : {2, 5}) {
    const Results more = run(c, threads);
    if (!same_bits(one, more))
      check::failed(__FILE__, __LINE__, "other bits with %d threads; %s", threads, c.name().c_str());
    if (!same_bits(one, run_side_by_side(c, threads)))
      check::failed(__FILE__, __LINE__, "other bits in columns of wider matrices; %s", c.name().c_str());
    const Results packed = run_packed(c, threads);
    if (!(check::same_bits(c.queries.pack(one.out), packed.out) && check::same_bits(pack_lse(c, one.lse), packed.lse) &&
          check::same_bits(c.queries.pack(one.dq), packed.dq) && check::same_bits(c.keys.pack(one.dk), packed.dk) &&
          check::same_bits(c.keys.pack(one.dv), packed.dv)))
      check::failed(__FILE__, __LINE__, "other bits without padding; %s", c.name().c_str());
  }
}

}  // namespace

TEST(attention_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  // Around the edges of tiles and blocks, and every way of sharing out query heads in the backward pass.
  const int32_t shapes[][5] = {{1, 1, 1, 1, 1},    {1, 2, 1, 1, 3},   {2, 33, 2, 1, 8},   {4, 64, 8, 4, 8},
                               {1, 65, 3, 3, 5},   {2, 31, 4, 1, 17}, {1, 130, 2, 2, 64}, {1, 97, 2, 1, 128},
                               {2, 20, 24, 6, 16}, {8, 5, 8, 4, 9},   {1, 150, 6, 2, 33}, {3, 32, 2, 2, 40},
                               {2, 16, 2, 2, 32},  {3, 17, 2, 1, 32}, {2, 48, 3, 3, 32},  {1, 49, 2, 2, 32},
                               {12, 12, 4, 4, 32}};
  for (const auto &s : shapes)
    for (int mode = 0; mode < 4; ++mode)
      check_case(make_case(random, s[0], s[1], s[2], s[3], s[4], mode % 2 == 0, mode / 2 == 1));
}

// The queries of a sequence are its last tokens: one where tokens are generated, several where a prompt has a beginning
// in common with others.
TEST(attention_of_more_keys_than_queries_equals_its_definition) {
  check::Random random(check::seed() + 5);
  const int32_t shapes[][6] = {{1, 1, 2, 1, 8, 0},   {3, 1, 4, 2, 8, 70},  {2, 5, 2, 2, 16, 1},
                               {2, 33, 3, 1, 5, 64}, {2, 40, 4, 4, 32, 3}, {1, 7, 6, 2, 9, 130}};
  for (const auto &s : shapes)
    for (int mode = 0; mode < 4; ++mode)
      check_case(make_case(random, s[0], s[1], s[2], s[3], s[4], mode % 2 == 0, mode / 2 == 1, s[5]));
}

// What a query gives does not depend on the queries before it that are asked with it.
TEST(last_queries_alone_give_the_same) {
  check::Random random(check::seed() + 6);
  const Case whole = make_case(random, 1, 90, 4, 2, 24, true, false);
  const Results expected = run(whole, 1);
  for (const int32_t last : {1, 2, 17, 90}) {
    Case c = whole;
    c.apart = true;
    c.queries.length = last;
    const int64_t width = 4 * 24;
    for (std::vector<float> *x : {&c.q, &c.dout}) x->erase(x->begin(), x->begin() + (90 - last) * width);
    const Results found = run(c, 2);
    const std::vector<double> out(expected.out.begin() + (90 - last) * width, expected.out.end());
    CHECK(check::error(found.out, out) < 0x1p-20);
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t i = 0; i < last; ++i)
        CHECK_NEAR(found.lse[static_cast<size_t>(h * last + i)],
                   expected.lse[static_cast<size_t>(h * 90 + 90 - last + i)], 1e-5);
  }
}

TEST(keys_in_pages_give_the_bits_of_keys_in_rows) {
  check::Random random(check::seed() + 8);
  const int32_t shapes[][6] = {{3, 1, 4, 2, 8, 200}, {2, 33, 3, 1, 5, 64}, {2, 40, 2, 2, 32, 0}, {5, 9, 2, 1, 17, 30}};
  for (const auto &s : shapes)
    for (int mode = 0; mode < 4; ++mode) {
      const Case c = make_case(random, s[0], s[1], s[2], s[3], s[4], mode % 2 == 0, mode / 2 == 1, s[5]);
      const Results expected = run(c, 1);
      for (int32_t rows : {1, 7, 16, 64, 300}) {
        const Pages pages(random, c, rows);
        for (int32_t threads : {1, 2, 5}) {
          Results found;
          CHECK_STATUS(VBL_OK, pages.forward(pages.attention, threads, found));
          if (!(check::same_bits(found.out, expected.out) && check::same_bits(found.lse, expected.lse)))
            check::failed(__FILE__, __LINE__, "other bits in pages of %d; %s", rows, c.name().c_str());
        }
      }
    }
}

TEST(attention_refuses_pages_that_it_cannot_take) {
  check::Random random(check::seed() + 9);
  const Case c = make_case(random, 2, 3, 4, 2, 5, true, false, 20);  // 23 keys each
  const Pages pages(random, c, 8);
  const auto refused = [&](const char *words, auto change) {
    vbl_attention a = pages.attention;
    change(a);
    Results r;
    CHECK_STATUS(VBL_INVALID_ARGUMENT, pages.forward(a, 1, r));
    if (std::strstr(vbl_last_error(), words) == nullptr)
      check::failed(__FILE__, __LINE__, "expected \"%s\" in: %s", words, vbl_last_error());
    CHECK(std::isnan(r.out[0]) && std::isnan(r.lse[0]));
  };
  const int32_t short_one[] = {23, 2}, long_one[] = {24, 23}, below[] = {23, -1}, starts[] = {0, 23, 46};
  std::vector<int32_t> behind = pages.table, before = pages.table;
  behind[2] = 11;  // of 2 · 4 + 3 pages
  before[4] = -1;
  refused("page_rows must not be negative, found -1", [](vbl_attention &a) { a.page_rows = -1; });
  refused("keys.length must be positive, found 0", [](vbl_attention &a) { a.keys.length = 0; });
  refused("blocks of page_rows = 8 must hold keys.length = 23 keys, found 2", [](vbl_attention &a) { a.blocks = 2; });
  refused("blocks of page_rows = 8 must hold keys.length = 23 keys, found 0", [](vbl_attention &a) { a.blocks = 0; });
  refused("keys.rows must be a positive multiple of page_rows = 8, found 87", [](vbl_attention &a) { a.keys.rows--; });
  refused("keys.rows must be a positive multiple of page_rows = 8, found 0", [](vbl_attention &a) { a.keys.rows = 0; });
  refused("are too large", [](vbl_attention &a) { a.keys.rows = INT64_MAX - 7; });
  refused("keys.starts must be NULL", [&](vbl_attention &a) { a.keys.starts = starts; });
  refused("keys.lengths must not be NULL", [](vbl_attention &a) { a.keys.lengths = nullptr; });
  refused("block_table must not be NULL", [](vbl_attention &a) { a.block_table = nullptr; });
  refused("keys.lengths[1] must lie in 0 .. 23, found -1", [&](vbl_attention &a) { a.keys.lengths = below; });
  refused("keys.lengths[0] must lie in 0 .. 23, found 24", [&](vbl_attention &a) { a.keys.lengths = long_one; });
  refused("sequence 1 has 2 keys", [&](vbl_attention &a) { a.keys.lengths = short_one; });
  refused("block_table[0][2] must lie in 0 .. 10, found 11", [&](vbl_attention &a) { a.block_table = behind.data(); });
  refused("block_table[1][0] must lie in 0 .. 10, found -1", [&](vbl_attention &a) { a.block_table = before.data(); });

  check::CpuStream stream(1);
  std::vector<float> d(pages.kv.size());
  std::vector<char> scratch(static_cast<size_t>(vbl_attention_scratch_bytes(stream, &pages.attention)));
  CHECK_STATUS(VBL_UNSUPPORTED,
               vbl_attention_backward(stream, &pages.attention, c.q.data(), pages.kv.data(), pages.kv.data() + 10,
                                      c.q.data(), c.q.data(), c.dout.data(), d.data(), d.data(), d.data(),
                                      scratch.data(), static_cast<int64_t>(scratch.size())));
  CHECK(std::strstr(vbl_last_error(), "vbl_attention_backward: keys in pages have no backward pass") != nullptr);
}

TEST(empty_sequences_change_no_bit_of_the_others) {
  check::Random random(check::seed() + 7);
  for (const bool causal : {true, false}) {
    const Case full = make_case(random, 5, 40, 3, 3, 8, causal, true);
    const Results without = run_packed(full, 2), with = run_packed(full, 2, 2);
    CHECK(check::same_bits(without.out, with.out) && check::same_bits(without.lse, with.lse));
    CHECK(check::same_bits(without.dq, with.dq) && check::same_bits(without.dk, with.dk));
    CHECK(check::same_bits(without.dv, with.dv));

    Case c = make_case(random, 4, 20, 2, 1, 8, causal, true);
    c.queries.lengths[1] = c.queries.lengths[3] = 0;
    c.keys = c.queries;
    for (std::vector<float> *x : {&c.q, &c.dout}) c.queries.poison(*x);
    for (std::vector<float> *x : {&c.k, &c.v}) c.keys.poison(*x);
    check_case(c);
  }
}

TEST(attention_of_random_shapes_equals_its_definition) {
  check::Random random(check::seed() + 1);
  for (int round = 0; round < 30; ++round) {
    const auto draw = [&random](int64_t low, int64_t high) { return static_cast<int32_t>(random.between(low, high)); };
    const int32_t kv_heads = draw(1, 4), group = draw(1, 3);
    check_case(make_case(random, draw(1, 3), draw(1, 80), kv_heads * group, kv_heads, draw(1, 70), draw(0, 1) == 1,
                         draw(0, 1) == 1));
  }
}

TEST(attention_keeps_large_scores_finite) {
  check::Random random(check::seed() + 2);
  for (int32_t head_dim : {1, 8, 64}) {
    Case c = make_case(random, 1, 90, 2, 1, head_dim, true, false);
    // Some scores become exactly 80 and -80.
    for (int32_t e = 0; e < head_dim; ++e) {
      const float root = std::sqrt(80 / (c.attention.scale * static_cast<float>(head_dim)));
      for (int64_t token = 0; token < 90; token += 3)
        for (int64_t h = 0; h < 2; ++h)
          c.q[Reference::at(c.attention, c.queries, 0, token, h, 2) + static_cast<size_t>(e)] =
              token % 2 == 0 ? root : -root;
      for (int64_t token = 0; token < 90; token += 5)
        c.k[Reference::at(c.attention, c.keys, 0, token, 0, 1) + static_cast<size_t>(e)] = root;
    }
    check_case(c);
  }
}

TEST(the_definition_of_attention_has_the_gradients_of_its_output) {
  check::Random random(check::seed() + 3);
  for (bool causal : {true, false}) {
    const Case c = make_case(random, 2, 7, 4, 2, 3, causal, true, causal ? -1 : 2);
    const Reference reference(c);
    const auto loss = [&c](const Case &changed) {
      const Reference r(changed);
      double sum = 0;
      for (size_t i = 0; i < r.out.size(); ++i)
        if (!std::isnan(c.dout[i])) sum += r.out[i] * c.dout[i];
      return sum;
    };
    const auto compare = [&](std::vector<float> Case::*input, const std::vector<double> &gradient) {
      for (size_t i = 0; i < gradient.size(); ++i) {
        if (std::isnan((c.*input)[i])) continue;
        Case up = c, down = c;
        (up.*input)[i] += 0x1p-9f;
        (down.*input)[i] -= 0x1p-9f;
        const double step = static_cast<double>((up.*input)[i]) - static_cast<double>((down.*input)[i]);
        // The difference quotient is off by a sixth of the third derivative times 2^-18.
        CHECK_NEAR((loss(up) - loss(down)) / step, gradient[i], 5e-5);
      }
    };
    compare(&Case::q, reference.dq);
    compare(&Case::k, reference.dk);
    compare(&Case::v, reference.dv);
  }
}

TEST(attention_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  check::Random random(check::seed() + 4);
  const Case c = make_case(random, 2, 3, 4, 2, 5, true, false);
  const vbl_attention good = c.padded();
  const std::vector<float> unset(c.q.size(), 7);
  std::vector<float> out = unset, lse = unset, dq = unset, dk = unset, dv = unset;
  const int64_t bytes = vbl_attention_scratch_bytes(stream, &good);
  CHECK(bytes > 0);
  std::vector<char> scratch(static_cast<size_t>(bytes));
  enum { kQ, kK, kV, kOut, kLse, kDout, kDq, kDk, kDv, kScratch, kPointers };
  const auto call = [&](bool backward, const vbl_attention *a, int missing, int64_t given) {
    const auto in = [&](int number, const std::vector<float> &x) { return number == missing ? nullptr : x.data(); };
    const auto to = [&](int number, std::vector<float> &x) { return number == missing ? nullptr : x.data(); };
    void *memory = missing == kScratch ? nullptr : scratch.data();
    return backward
               ? vbl_attention_backward(stream, a, in(kQ, c.q), in(kK, c.k), in(kV, c.v), in(kOut, out), in(kLse, lse),
                                        in(kDout, c.dout), to(kDq, dq), to(kDk, dk), to(kDv, dv), memory, given)
               : vbl_attention_forward(stream, a, in(kQ, c.q), in(kK, c.k), in(kV, c.v), to(kOut, out), to(kLse, lse),
                                       memory, given);
  };
  const auto check_refused = [&](const vbl_attention *a, int missing, int64_t given, std::vector<const char *> words) {
    for (bool backward : {false, true}) {
      if (!backward && missing >= kDout && missing <= kDv) continue;
      CHECK_STATUS(VBL_INVALID_ARGUMENT, call(backward, a, missing, given));
      words.push_back(backward ? "vbl_attention_backward: " : "vbl_attention_forward: ");
      for (const char *word : words)
        if (std::strstr(vbl_last_error(), word) == nullptr)
          check::failed(__FILE__, __LINE__, "expected \"%s\" in: %s", word, vbl_last_error());
      words.pop_back();
    }
  };
  const auto refused = [&](std::vector<const char *> words, auto change, bool has_scratch_size = false) {
    vbl_attention a = good;
    change(a);
    check_refused(&a, kPointers, bytes, words);
    CHECK((vbl_attention_scratch_bytes(stream, &a) >= 0) == has_scratch_size);
  };
  refused({"batch must be positive", "found 0"}, [](vbl_attention &a) { a.batch = 0; });
  refused({"queries.length must be positive", "found -1"}, [](vbl_attention &a) { a.queries.length = -1; });
  refused({"heads must be positive", "found 0"}, [](vbl_attention &a) { a.heads = 0; });
  refused({"kv_heads must be positive", "found 0"}, [](vbl_attention &a) { a.kv_heads = 0; });
  refused({"head_dim must be positive", "found -3"}, [](vbl_attention &a) { a.head_dim = -3; });
  refused({"multiple of kv_heads", "4 and 3"}, [](vbl_attention &a) { a.kv_heads = 3; });
  refused({"causal must be 0 or 1, found 2"}, [](vbl_attention &a) { a.causal = 2; });
  refused({"scale must be finite", "inf"}, [](vbl_attention &a) { a.scale = INFINITY; });
  refused({"scale must be finite", "nan"}, [](vbl_attention &a) { a.scale = NAN; });
  refused({"ldq must be 0 or at least 20, found 19"}, [](vbl_attention &a) { a.ldq = 19; });
  refused({"ldkv must be 0 or at least 10, found -1"}, [](vbl_attention &a) { a.ldkv = -1; });
  refused({"ldout must be 0 or at least 20, found 1"}, [](vbl_attention &a) { a.ldout = 1; });
  refused({"too large"}, [](vbl_attention &a) { a.batch = a.queries.length = a.head_dim = INT32_MAX; });
  const int32_t below[] = {3, -1}, long_one[] = {4, 3}, short_one[] = {3, 1}, none[] = {3, 0};
  refused(
      {"queries.lengths[1] must lie in 0 .. 3, found -1"}, [&](vbl_attention &a) { a.queries.lengths = below; }, true);
  refused(
      {"queries.lengths[0] must lie in 0 .. 3, found 4"}, [&](vbl_attention &a) { a.queries.lengths = long_one; },
      true);
  const int32_t starts[] = {0, 3, 5}, late[] = {1, 3, 5}, back[] = {0, -1, 5}, far[] = {0, 1, 5};
  const auto packed = [](vbl_sequences &s, int64_t rows, const int32_t *starts) {
    s.rows = rows;
    s.starts = starts;
  };
  refused({"queries.rows must lie in 1 .. 6, found 7"}, [&](vbl_attention &a) { packed(a.queries, 7, starts); });
  refused({"queries.rows must lie in 1 .. 6, found 0"}, [&](vbl_attention &a) { packed(a.queries, 0, starts); });
  refused(
      {"without starts, queries.rows must be batch · length = 6, found 5"},
      [&](vbl_attention &a) { packed(a.queries, 5, nullptr); }, true);
  refused(
      {"starts[2] must be the number of tokens, 4, found 5"}, [&](vbl_attention &a) { packed(a.queries, 4, starts); },
      true);
  refused({"starts[0] must be 0, found 1"}, [&](vbl_attention &a) { packed(a.queries, 5, late); }, true);
  refused(
      {"starts[1] must lie 0 .. 3 behind starts[0], found -1 and 0"},
      [&](vbl_attention &a) { packed(a.queries, 5, back); }, true);
  refused(
      {"starts[2] must lie 0 .. 3 behind starts[1], found 5 and 1"},
      [&](vbl_attention &a) { packed(a.queries, 5, far); }, true);
  refused({"keys.length must be positive, found 0"}, [&](vbl_attention &a) { a.keys.rows = 6; });
  refused({"keys.rows must lie in 1 .. 6, found -1"}, [&](vbl_attention &a) { a.keys = {-1, 3, starts, nullptr}; });
  refused(
      {"sequence 1 has 1 keys, its 3 queries need at least 3"},
      [&](vbl_attention &a) { a.keys = {6, 3, nullptr, short_one}; }, true);
  refused(
      {"sequence 1 has 0 keys, its 3 queries need at least 1"},
      [&](vbl_attention &a) { a.causal = 0, a.keys = {6, 3, nullptr, none}; }, true);
  check_refused(&good, kPointers, bytes - 1, {"scratch must have", std::to_string(bytes - 1).c_str()});
  check_refused(nullptr, kPointers, bytes, {"attention must not be NULL"});
  const char *names[] = {"q must",    "k must",  "v must",  "out must", "lse must",
                         "dout must", "dq must", "dk must", "dv must",  "scratch must"};
  for (int missing = 0; missing < kPointers; ++missing) check_refused(&good, missing, bytes, {names[missing], "NULL"});
  CHECK(vbl_attention_scratch_bytes(nullptr, &good) == -1);
  CHECK(vbl_attention_scratch_bytes(stream, nullptr) == -1);
  for (const std::vector<float> *x : {&out, &lse, &dq, &dk, &dv}) CHECK(*x == unset);
  CHECK_STATUS(VBL_OK, call(false, &good, kPointers, bytes));
  CHECK_STATUS(VBL_OK, call(true, &good, kPointers, bytes));
}
