// Embedding lookup and its gradient, against their definition.
#include <cstring>
#include <string>

#include "arrays.h"

TEST(embedding_looks_up_and_adds_rows_of_every_dtype) {
  check::Random random(check::seed());
  const int64_t vocab = 37;
  for (int64_t hidden : {1, 7, 64, 1025})
    for (int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
      check::CpuStream stream(3);
      const int64_t tokens = random.between(1, 90);
      std::vector<float> table(static_cast<size_t>(vocab * hidden));
      for (float &v : table) v = static_cast<float>(random.between(-128, 127)) / 64;  // exact in every dtype
      std::vector<int32_t> ids(static_cast<size_t>(tokens));
      for (int32_t &id : ids) id = static_cast<int32_t>(random.between(0, vocab - 1));
      ids[0] = 0;
      ids.back() = static_cast<int32_t>(vocab - 1);
      std::vector<char> stored(table.size() * 4);
      const int64_t count = static_cast<int64_t>(table.size());
      CHECK_STATUS(VBL_OK, vbl_convert(stream, count, table.data(), VBL_FLOAT32, stored.data(), dtype));
      std::vector<float> out(static_cast<size_t>(tokens * hidden), NAN);
      CHECK_STATUS(VBL_OK, vbl_embedding_forward(stream, VBL_FLOAT32, tokens, hidden, vocab, ids.data(), stored.data(),
                                                 dtype, 0, out.data()));
      for (size_t t = 0; t < ids.size(); ++t)
        CHECK(std::memcmp(&out[t * static_cast<size_t>(hidden)], &table[static_cast<size_t>(ids[t] * hidden)],
                          static_cast<size_t>(hidden) * sizeof(float)) == 0);
      std::vector<float> sums = check::normals(random, tokens * hidden), expected = sums;
      for (size_t i = 0; i < sums.size(); ++i) expected[i] += out[i];
      CHECK_STATUS(VBL_OK, vbl_embedding_forward(stream, VBL_FLOAT32, tokens, hidden, vocab, ids.data(), stored.data(),
                                                 dtype, 1, sums.data()));
      CHECK(check::same_bits(sums, expected));
    }
}

TEST(embedding_gradient_adds_tokens_in_order) {
  check::Random random(check::seed() + 1);
  const int64_t vocab = 5, tokens = 3000;
  for (int64_t hidden : {1, 40, 129}) {
    std::vector<int32_t> ids(static_cast<size_t>(tokens));
    for (int32_t &id : ids) id = static_cast<int32_t>(random.between(0, vocab - 1));
    const std::vector<float> dout = check::normals(random, tokens * hidden),
                             before = check::normals(random, vocab * hidden);
    std::vector<float> expected = before;  // the same float32 additions in the same order
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t c = 0; c < hidden; ++c)
        expected[static_cast<size_t>(ids[static_cast<size_t>(t)] * hidden + c)] +=
            dout[static_cast<size_t>(t * hidden + c)];
    for (int32_t threads : {1, 2, 5}) {
      check::CpuStream stream(threads);
      std::vector<float> dtable = before;
      CHECK_STATUS(VBL_OK, vbl_embedding_backward(stream, VBL_FLOAT32, tokens, hidden, vocab, ids.data(), dout.data(),
                                                  dtable.data()));
      CHECK(check::same_bits(dtable, expected));
    }
  }
}

TEST(embedding_refuses_ids_outside_the_vocabulary) {
  check::CpuStream stream;
  float table[6] = {}, out[6] = {};
  for (int32_t wrong : {-1, 3, INT32_MIN, INT32_MAX}) {
    const int32_t ids[2] = {2, wrong};
    for (vbl_status status : {vbl_embedding_forward(stream, VBL_FLOAT32, 2, 2, 3, ids, table, VBL_FLOAT32, 0, out),
                              vbl_embedding_backward(stream, VBL_FLOAT32, 2, 2, 3, ids, out, table)}) {
      CHECK(status == VBL_INVALID_ARGUMENT);
      CHECK(std::strstr(vbl_last_error(), "ids[1]") != nullptr &&
            std::strstr(vbl_last_error(), std::to_string(wrong).c_str()));
    }
  }
  const int32_t ids[2] = {2, 0};
  CHECK_STATUS(VBL_OK, vbl_embedding_forward(stream, VBL_FLOAT32, 0, 2, 3, nullptr, nullptr, VBL_FLOAT32, 0, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_embedding_forward(nullptr, VBL_FLOAT32, 2, 2, 3, ids, table, VBL_FLOAT32, 0, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_embedding_forward(stream, VBL_FLOAT32, 2, 2, 3, nullptr, table, VBL_FLOAT32, 0, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_embedding_forward(stream, VBL_FLOAT32, 2, 2, 3, ids, nullptr, VBL_FLOAT32, 0, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_embedding_forward(stream, VBL_FLOAT32, 2, 2, 3, ids, table, 9, 0, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_embedding_forward(stream, VBL_FLOAT32, 2, 2, 3, ids, table, VBL_FLOAT32, 2, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_embedding_forward(stream, VBL_FLOAT32, 2, 0, 3, ids, table, VBL_FLOAT32, 0, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_embedding_forward(stream, VBL_FLOAT32, -2, 2, 3, ids, table, VBL_FLOAT32, 0, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_embedding_backward(stream, VBL_FLOAT32, 2, 2, 3, ids, nullptr, table));
}
