// vbl_cpu_gemm over a plain BLAS (plain_blas.module.cpp), against the definition in float64.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"

namespace {

const std::string kPlainBlas = check::module("plain_blas");

vbl_blas *plain_blas() {
  vbl_blas *blas = nullptr;
  CHECK_STATUS(VBL_OK, vbl_blas_open(kPlainBlas.c_str(), &blas));
  return blas;
}

struct Case {
  vbl_gemm gemm;
  std::vector<float> a, b, d;    // b as float32 numbers that b_dtype represents exactly; d as it is before
  std::vector<uint16_t> b_half;  // b in b_dtype where that has 16 bits
};

Case make_case(check::Random &random, int64_t m, int64_t n, int64_t k, int32_t b_dtype) {
  Case x;
  const int32_t trans_a = random.between(0, 1) ? 1 : 0, trans_b = random.between(0, 1) ? 1 : 0;
  const auto leading = [&](int64_t columns) { return std::max<int64_t>(1, columns) + random.between(0, 3); };
  const int64_t lda = leading(trans_a ? m : k), ldb = leading(trans_b ? k : n), ldd = leading(n);
  x.gemm = {m, n, k, lda, ldb, ldd, ldd, trans_a, trans_b, b_dtype, 0, 0};
  x.gemm.alpha = random.uniform(-2, 2);
  x.gemm.beta = random.between(0, 1) ? 0.0f : 0.5f;
  const auto size = [](int64_t rows, int64_t ld) { return static_cast<size_t>(rows * ld); };
  x.a.resize(size(trans_a ? k : m, x.gemm.lda));
  x.b.resize(size(trans_b ? n : k, x.gemm.ldb));
  x.d.resize(size(m, x.gemm.ldd));
  for (float &v : x.a) v = random.normal();
  for (float &v : x.b) v = static_cast<float>(random.between(-128, 127)) / 64;  // eight bits: exact in every dtype
  for (float &v : x.d) v = random.normal();
  if (b_dtype != VBL_FLOAT32) {
    check::CpuStream stream(1);
    x.b_half.resize(x.b.size());
    const int64_t count = static_cast<int64_t>(x.b.size());
    CHECK_STATUS(VBL_OK, vbl_convert(stream, count, x.b.data(), VBL_FLOAT32, x.b_half.data(), b_dtype));
  }
  return x;
}

// D, from what it held before; c is NULL where D itself is added to.
std::vector<float> run(const Case &x, const float *c, std::vector<float> d, int32_t threads) {
  check::CpuStream stream(threads);
  const int64_t bytes = vbl_cpu_gemm_scratch_bytes(stream, &x.gemm);
  CHECK(bytes == 0 || x.gemm.b_dtype != VBL_FLOAT32);
  std::vector<char> scratch(static_cast<size_t>(bytes));
  const void *b = x.b_half.empty() ? static_cast<const void *>(x.b.data()) : x.b_half.data();
  CHECK_STATUS(VBL_OK, vbl_cpu_gemm(stream, plain_blas(), &x.gemm, x.a.data(), b, c != nullptr ? c : d.data(), d.data(),
                                    scratch.data(), bytes));
  return d;
}

void check_against_definition(const Case &x, const std::vector<float> &found) {
  const vbl_gemm &g = x.gemm;
  int64_t wrong = 0;
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.ldd; ++j) {
      const size_t at = static_cast<size_t>(i * g.ldd + j);
      if (j >= g.n) {
        wrong += std::memcmp(&found[at], &x.d[at], sizeof(float)) != 0;
        continue;
      }
      double sum = 0, magnitude = 0;
      for (int64_t l = 0; l < g.k; ++l) {
        const double term = static_cast<double>(x.a[static_cast<size_t>(g.trans_a ? l * g.lda + i : i * g.lda + l)]) *
                            x.b[static_cast<size_t>(g.trans_b ? j * g.ldb + l : l * g.ldb + j)];
        sum += term;
        magnitude += std::fabs(term);
      }
      const double expected = g.alpha * sum + (g.beta == 0 ? 0 : g.beta * static_cast<double>(x.d[at]));
      // Rounding errors of random signs: a few units in the last place of the largest partial sum.
      const double bound = 6e-8 * (8 * std::fabs(g.alpha) * magnitude + 4 * std::fabs(expected) + 1);
      wrong += !(std::fabs(found[at] - expected) <= bound);
    }
  if (wrong > 0)
    check::failed(__FILE__, __LINE__, "%lld elements wrong: m %lld n %lld k %lld dtype %d transposed %d %d",
                  static_cast<long long>(wrong), static_cast<long long>(g.m), static_cast<long long>(g.n),
                  static_cast<long long>(g.k), g.b_dtype, g.trans_a, g.trans_b);
}

}  // namespace

TEST(products_equal_their_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  const int64_t shapes[][3] = {{1, 1, 1},   {3, 5, 0},       {1, 1100, 33},   {7, 530, 129},
                               {70, 9, 65}, {257, 129, 300}, {130, 1040, 65}, {40, 2, 9000}};
  for (const auto &shape : shapes)
    for (int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
      Case x = make_case(random, shape[0], shape[1], shape[2], dtype);
      if (x.gemm.beta == 0)
        for (int64_t i = 0; i < x.gemm.m; ++i)  // what is not read may be anything
          for (int64_t j = 0; j < x.gemm.n; ++j) x.d[static_cast<size_t>(i * x.gemm.ldd + j)] = NAN;
      const std::vector<float> one = run(x, nullptr, x.d, 1);
      check_against_definition(x, one);
      for (int32_t threads : {2, 5}) {
        const std::vector<float> more = run(x, nullptr, x.d, threads);
        CHECK(std::memcmp(one.data(), more.data(), one.size() * sizeof(float)) == 0);
      }
    }
}

TEST(an_addend_apart_gives_the_bits_of_a_copy_of_it) {
  check::Random random(check::seed() + 1);
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 0}, {7, 530, 1129}, {257, 129, 300}, {40, 2, 9000}};
  for (const auto &shape : shapes)
    for (int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16})
      for (int64_t padding : {0, 3}) {
        Case x = make_case(random, shape[0], shape[1], shape[2], dtype);
        x.gemm.beta = 0.5f;
        const std::vector<float> expected = run(x, nullptr, x.d, 1);
        // C with a leading dimension of its own, and D with anything in it; what lies between its rows stays.
        const int64_t ldd = x.gemm.ldd;
        x.gemm.ldc = x.gemm.n + padding;
        std::vector<float> c(static_cast<size_t>(x.gemm.m * x.gemm.ldc), NAN), d = x.d;
        for (int64_t i = 0; i < x.gemm.m; ++i)
          for (int64_t j = 0; j < x.gemm.n; ++j) {
            c[static_cast<size_t>(i * x.gemm.ldc + j)] = x.d[static_cast<size_t>(i * ldd + j)];
            d[static_cast<size_t>(i * ldd + j)] = NAN;
          }
        for (int32_t threads : {1, 2, 5}) {
          const std::vector<float> apart = run(x, c.data(), d, threads);
          CHECK(std::memcmp(apart.data(), expected.data(), apart.size() * sizeof(float)) == 0);
        }
      }
}

TEST(a_blas_library_is_opened_once_and_single_threaded) {
  vbl_blas *blas = plain_blas();
  CHECK(blas != nullptr && blas == plain_blas());
  void *library = dlopen(kPlainBlas.c_str(), RTLD_NOW | RTLD_LOCAL);
  CHECK(library != nullptr);
  const auto num_threads = reinterpret_cast<int (*)()>(dlsym(library, "plain_blas_num_threads"));
  CHECK(num_threads != nullptr && num_threads() == 1);
  dlclose(library);

  CHECK_STATUS(VBL_IO_ERROR, vbl_blas_open(check::module("absent").c_str(), &blas));
  CHECK(blas == nullptr && std::strstr(vbl_last_error(), "absent.so") != nullptr);
  CHECK_STATUS(VBL_IO_ERROR, vbl_blas_open(check::module("not_blas").c_str(), &blas));
  CHECK(std::strstr(vbl_last_error(), "cblas_sgemm") != nullptr);
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_blas_open(nullptr, &blas));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_blas_open(kPlainBlas.c_str(), nullptr));
}

TEST(products_refuse_what_does_not_fit) {
  check::CpuStream stream;
  vbl_blas *blas = plain_blas();
  float a[6] = {}, b[6] = {}, c[4] = {}, d[4] = {};
  const vbl_gemm good = {2, 2, 3, 3, 2, 2, 2, 0, 0, VBL_FLOAT32, 1, 1};
  CHECK_STATUS(VBL_OK, vbl_cpu_gemm(stream, blas, &good, a, b, c, d, nullptr, 0));
  const auto refused = [&](const char *word, auto change) {
    vbl_gemm bad = good;
    change(bad);
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, blas, &bad, a, b, c, d, nullptr, 0));
    if (std::strstr(vbl_last_error(), word) == nullptr)
      check::failed(__FILE__, __LINE__, "expected \"%s\" in: %s", word, vbl_last_error());
  };
  refused("m must", [](vbl_gemm &g) { g.m = -1; });
  refused("k must", [](vbl_gemm &g) { g.k = int64_t{1} << 40; });
  refused("lda must", [](vbl_gemm &g) { g.lda = 2; });
  refused("ldb must", [](vbl_gemm &g) { g.trans_b = 1; });
  refused("ldc must", [](vbl_gemm &g) { g.ldc = 1; });
  refused("ldd must", [](vbl_gemm &g) { g.ldd = 1; });
  refused("trans_a", [](vbl_gemm &g) { g.trans_a = 2; });
  refused("b_dtype 3", [](vbl_gemm &g) { g.b_dtype = 3; });
  refused("scratch must have", [](vbl_gemm &g) { g.b_dtype = VBL_BFLOAT16; });
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(nullptr, blas, &good, a, b, c, d, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, nullptr, &good, a, b, c, d, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, blas, nullptr, a, b, c, d, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, blas, &good, nullptr, b, c, d, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, blas, &good, a, nullptr, c, d, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, blas, &good, a, b, nullptr, d, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, blas, &good, a, b, c, nullptr, nullptr, 0));
  vbl_gemm product = good;  // without an addend
  product.beta = 0, product.ldc = 0;
  CHECK_STATUS(VBL_OK, vbl_cpu_gemm(stream, blas, &product, a, b, nullptr, d, nullptr, 0));
  vbl_gemm wider = good;  // one memory cannot be C and D in two ways
  wider.ldc = 3;
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cpu_gemm(stream, blas, &wider, a, b, d, d, nullptr, 0));
}
