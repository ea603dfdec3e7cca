// The low-rank products and dropout, against their definition in float64.
#include <cmath>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "lowrank/dropout.h"

namespace {

vbl_step make_step(int64_t step, uint64_t seed, int32_t micro_batch) {
  vbl_step s{};
  s.step = step;
  s.seed = seed;
  s.micro_batch = micro_batch;
  return s;
}

std::vector<float> mask_of(const vbl_lowrank &l, const vbl_step &step, int32_t threads = 1) {
  check::CpuStream stream(threads);
  std::vector<float> mask(static_cast<size_t>(l.tokens * l.in_features), NAN);
  CHECK_STATUS(VBL_OK, vbl_dropout_mask(stream, &l, &step, mask.data()));
  return mask;
}

struct Results {
  std::vector<float> p, y, q, dx, da, dbt;
};

struct Case {
  vbl_lowrank l;
  vbl_step step;
  std::vector<float> x, dy, a, bt;
  Results before;  // what the outputs hold; those that are only written hold NaN

  Results run(int32_t threads) const {
    check::CpuStream stream(threads);
    Results o = before;
    CHECK_STATUS(VBL_OK, vbl_lowrank_forward(stream, &l, &step, x.data(), a.data(), bt.data(), o.p.data(), o.y.data()));
    CHECK_STATUS(VBL_OK, vbl_lowrank_backward(stream, &l, &step, x.data(), dy.data(), a.data(), bt.data(), o.p.data(),
                                              o.q.data(), o.dx.data(), o.da.data(), o.dbt.data()));
    return o;
  }
};

Case make_case(check::Random &random, int64_t tokens, int64_t in, int64_t out, int32_t r, float dropout) {
  Case c;
  c.l = {tokens, in, out, r, static_cast<uint32_t>(random.next()), dropout, random.uniform(0.25f, 2),
         random.between(0, 9)};
  c.step = make_step(random.between(1, 1000), random.next(), static_cast<int32_t>(random.between(0, 65535)));
  c.x = check::normals(random, tokens * in);
  c.dy = check::normals(random, tokens * out);
  c.a = check::normals(random, r * in);
  c.bt = check::normals(random, r * out);
  const std::vector<float> unset(static_cast<size_t>(tokens * r), NAN);
  c.before = {unset,
              check::normals(random, tokens * out),
              unset,
              check::normals(random, tokens * in),
              check::normals(random, r * in),
              check::normals(random, r * out)};
  return c;
}

void check_against_definition(const Case &c, const Results &found) {
  const vbl_lowrank &l = c.l;
  const size_t tokens = static_cast<size_t>(l.tokens), in = static_cast<size_t>(l.in_features),
               out = static_cast<size_t>(l.out_features), r = static_cast<size_t>(l.r);
  const std::vector<float> mask = mask_of(l, c.step);
  const auto wide = [](const std::vector<float> &v) { return std::vector<double>(v.begin(), v.end()); };
  std::vector<double> p(tokens * r), q(tokens * r), y = wide(c.before.y), dx = wide(c.before.dx),
                                                    da = wide(c.before.da), dbt = wide(c.before.dbt);
  const double scaling = l.scaling;
  for (size_t t = 0; t < tokens; ++t)
    for (size_t i = 0; i < r; ++i) {
      double sum = 0;
      for (size_t j = 0; j < in; ++j) sum += 1.0 * mask[t * in + j] * c.x[t * in + j] * c.a[i * in + j];
      p[t * r + i] = sum;
      sum = 0;
      for (size_t o = 0; o < out; ++o) sum += static_cast<double>(c.dy[t * out + o]) * c.bt[i * out + o];
      q[t * r + i] = scaling * sum;
      for (size_t o = 0; o < out; ++o) {
        y[t * out + o] += scaling * p[t * r + i] * c.bt[i * out + o];
        dbt[i * out + o] += scaling * p[t * r + i] * c.dy[t * out + o];
      }
      for (size_t j = 0; j < in; ++j) {
        dx[t * in + j] += static_cast<double>(mask[t * in + j]) * q[t * r + i] * c.a[i * in + j];
        da[i * in + j] += static_cast<double>(mask[t * in + j]) * q[t * r + i] * c.x[t * in + j];
      }
    }
  const struct {
    const char *name;
    const std::vector<float> &found;
    const std::vector<double> &expected;
  } outputs[] = {{"p", found.p, p},    {"y", found.y, y},    {"q", found.q, q},
                 {"dx", found.dx, dx}, {"da", found.da, da}, {"dbt", found.dbt, dbt}};
  for (const auto &output : outputs) {
    const double error = check::error(output.found, output.expected);
    if (!(error < 1e-6))  // PyTorch's own float32 has up to 2.7e-6 in y and 2.3e-6 in dx
      check::failed(__FILE__, __LINE__, "%s: error %.3g; tokens %zu in %zu out %zu r %zu dropout %g", output.name,
                    error, tokens, in, out, r, static_cast<double>(l.dropout));
  }
}

}  // namespace

TEST(low_rank_products_equal_their_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  const int64_t shapes[][4] = {{1, 1, 1, 1},     {3, 5, 70, 2},      {2, 1030, 17, 3},
                               {66, 40, 300, 4}, {5, 259, 64, 5},    {130, 96, 33, 8},
                               {40, 19, 8, 64},  {9, 1100, 530, 13}, {300, 512, 256, 1}};
  for (const auto &s : shapes)
    for (float dropout : {0.0f, 0.3f}) {
      const Case c = make_case(random, s[0], s[1], s[2], static_cast<int32_t>(s[3]), dropout);
      const Results one = c.run(1);
      check_against_definition(c, one);
      for (int32_t threads : {2, 5}) {
        const Results more = c.run(threads);
        CHECK(check::same_bits(one.p, more.p) && check::same_bits(one.y, more.y));
        CHECK(check::same_bits(one.q, more.q) && check::same_bits(one.dx, more.dx));
        CHECK(check::same_bits(one.da, more.da) && check::same_bits(one.dbt, more.dbt));
      }
    }
}

TEST(many_terms_stay_accurate) {
  check::Random random(check::seed() + 1);
  const Case wide = make_case(random, 3, 16384, 20, 2, 0);
  check_against_definition(wide, wide.run(2));
  const Case tall = make_case(random, 4099, 16, 16, 2, 0);
  check_against_definition(tall, tall.run(2));
}

TEST(without_dx_the_other_gradients_are_the_same) {
  check::Random random(check::seed() + 2);
  const Case c = make_case(random, 37, 48, 80, 4, 0.5f);
  const Results all = c.run(2);
  Results some = c.before;
  check::CpuStream stream(2);
  CHECK_STATUS(VBL_OK, vbl_lowrank_backward(stream, &c.l, &c.step, c.x.data(), c.dy.data(), c.a.data(), c.bt.data(),
                                            all.p.data(), some.q.data(), nullptr, some.da.data(), some.dbt.data()));
  CHECK(check::same_bits(all.q, some.q) && check::same_bits(all.da, some.da) && check::same_bits(all.dbt, some.dbt));
}

// Known answers of the Random123 library, its file kat_vectors.
TEST(philox_gives_the_known_answers) {
  const struct {
    uint64_t counter[4];
    uint32_t key[2], answer[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto &k : known) {
    uint64_t c[4][1] = {{k.counter[0]}, {k.counter[1]}, {k.counter[2]}, {k.counter[3]}};
    vbl::philox4x32_10<vbl::PhiloxLane>(c, k.key[0], k.key[1]);
    for (int i = 0; i < 4; ++i) CHECK(static_cast<uint32_t>(c[i][0]) == k.answer[i]);
  }
}

// The library's vectorised mask against the documented formula, one element at a time.
TEST(a_mask_is_what_the_header_says) {
  check::Random random(check::seed() + 3);
  for (int round = 0; round < 6; ++round) {
    const float dropout = random.uniform(0.01f, 0.9f);
    const uint32_t module = static_cast<uint32_t>(random.next()), micro_batch = random.next() & 0xFFFF;
    const vbl_lowrank l = {random.between(1, 40), random.between(1, 700), 1, 1, module, dropout, 1, 0};
    const int64_t number = random.between(1, int64_t{1} << 40);
    const vbl_step step = make_step(number, random.next(), static_cast<int32_t>(micro_batch));
    const double threshold = std::nearbyint(static_cast<double>(dropout) * 0x1p32);
    const float kept = static_cast<float>(1 / (1 - static_cast<double>(dropout)));
    const std::vector<float> mask = mask_of(l, step);
    int64_t wrong = 0;
    for (size_t e = 0; e < mask.size(); ++e) {
      uint64_t c[4][1] = {{static_cast<uint32_t>(e / 4)},
                          {static_cast<uint32_t>(e / 4 >> 32) | micro_batch << 16},
                          {module},
                          {static_cast<uint32_t>(step.step)}};
      vbl::philox4x32_10<vbl::PhiloxLane>(c, static_cast<uint32_t>(step.seed), static_cast<uint32_t>(step.seed >> 32));
      wrong += mask[e] != (static_cast<uint32_t>(c[e % 4][0]) >= threshold ? kept : 0.0f);
    }
    CHECK(wrong == 0);
    CHECK(check::same_bits(mask, mask_of(l, step, 5)));
  }
}

TEST(a_batch_passed_in_pieces_draws_the_mask_of_the_whole) {
  check::Random random(check::seed() + 4);
  for (int round = 0; round < 6; ++round) {
    const int64_t tokens = random.between(2, 60), in = random.between(1, 300), cut = random.between(1, tokens - 1);
    const vbl_lowrank whole = {tokens, in, 1, 1, 3, 0.4f, 1, 5};
    vbl_lowrank head = whole, tail = whole;
    head.tokens = cut;
    tail.tokens = tokens - cut;
    tail.first_token += cut;
    const vbl_step step = make_step(2, random.next(), 1);
    std::vector<float> pieces = mask_of(head, step);
    const std::vector<float> rest = mask_of(tail, step);
    pieces.insert(pieces.end(), rest.begin(), rest.end());
    CHECK(check::same_bits(pieces, mask_of(whole, step)));
  }
}

TEST(masks_have_the_right_share_and_depend_on_every_key) {
  const int64_t tokens = 1000, in = 1000;
  const vbl_lowrank l = {tokens, in, 1, 1, 7, 0.25f, 1, 0};
  const vbl_step step = make_step(3, 0x123456789ABCDEFull, 2);
  const std::vector<float> mask = mask_of(l, step, 2);
  const auto agreement = [&](const std::vector<float> &other) {
    int64_t same = 0;
    for (size_t i = 0; i < mask.size(); ++i) same += mask[i] == other[i];
    return static_cast<double>(same) / static_cast<double>(mask.size());
  };
  int64_t kept = 0, pairs = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    kept += mask[i] > 0;
    pairs += i > 0 && mask[i] > 0 && mask[i - 1] > 0;
  }
  // Within five standard deviations of a million draws: 5 · sqrt(0.75 · 0.25 / 1e6) = 0.0022; pairs vary more.
  CHECK_NEAR(static_cast<double>(kept) / 1e6, 0.75, 0.0022);
  CHECK_NEAR(static_cast<double>(pairs) / 1e6, 0.5625, 0.004);
  CHECK(agreement(mask_of(l, step)) == 1);
  vbl_lowrank other_module = l;
  other_module.module = 8;
  vbl_step other_step = step, other_seed = step, other_high_seed = step, other_micro_batch = step;
  other_step.step = 4;
  other_seed.seed += 1;
  other_high_seed.seed += uint64_t{1} << 32;
  other_micro_batch.micro_batch = 1;
  // Independent masks agree with probability 0.75² + 0.25².
  for (const std::vector<float> &other : {mask_of(other_module, step), mask_of(l, other_step), mask_of(l, other_seed),
                                          mask_of(l, other_high_seed), mask_of(l, other_micro_batch)})
    CHECK_NEAR(agreement(other), 0.625, 0.0025);
  vbl_lowrank none = l;
  none.dropout = 0;
  for (float m : mask_of(none, step)) CHECK(m == 1);
}

TEST(low_rank_products_refuse_what_they_cannot_take) {
  check::CpuStream stream;
  float v[4] = {}, out[4] = {}, p[4] = {};
  const vbl_lowrank good = {1, 2, 2, 1, 0, 0.5f, 1, 0};
  const vbl_step step = make_step(1, 1, 0);
  const auto forward = [&](const vbl_lowrank &l, const vbl_step *s) {
    return vbl_lowrank_forward(stream, &l, s, v, v, v, p, out);
  };
  CHECK_STATUS(VBL_OK, forward(good, &step));
  const auto refused = [&](const char *word, auto change) {
    vbl_lowrank l = good;
    vbl_step s = step;
    change(l, s);
    CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(l, &s));
    if (std::strstr(vbl_last_error(), word) == nullptr)
      check::failed(__FILE__, __LINE__, "expected \"%s\" in: %s", word, vbl_last_error());
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_lowrank_backward(stream, &l, &s, v, v, v, v, p, p, out, out, out));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_dropout_mask(stream, &l, &s, out));
  };
  refused("tokens", [](vbl_lowrank &l, vbl_step &) { l.tokens = -1; });
  refused("in_features", [](vbl_lowrank &l, vbl_step &) { l.in_features = 0; });
  refused("out_features", [](vbl_lowrank &l, vbl_step &) { l.out_features = 0; });
  refused("r must", [](vbl_lowrank &l, vbl_step &) { l.r = 0; });
  refused("scaling", [](vbl_lowrank &l, vbl_step &) { l.scaling = INFINITY; });
  refused("dropout", [](vbl_lowrank &l, vbl_step &) { l.dropout = 1; });
  refused("dropout", [](vbl_lowrank &l, vbl_step &) { l.dropout = -0.1f; });
  refused("dropout", [](vbl_lowrank &l, vbl_step &) { l.dropout = NAN; });
  refused("first_token", [](vbl_lowrank &l, vbl_step &) { l.first_token = -1; });
  refused("micro_batch", [](vbl_lowrank &, vbl_step &s) { s.micro_batch = 65536; });
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(good, nullptr));
  CHECK(std::strstr(vbl_last_error(), "step") != nullptr);
  vbl_lowrank undropped = good;
  undropped.dropout = 0;
  CHECK_STATUS(VBL_OK, forward(undropped, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_lowrank_forward(nullptr, &good, &step, v, v, v, p, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_lowrank_forward(stream, nullptr, &step, v, v, v, p, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_lowrank_forward(stream, &good, &step, nullptr, v, v, p, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_lowrank_forward(stream, &good, &step, v, v, v, p, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_lowrank_backward(stream, &good, &step, v, v, v, v, nullptr, p, out, out, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_dropout_mask(stream, &good, &step, nullptr));
}
