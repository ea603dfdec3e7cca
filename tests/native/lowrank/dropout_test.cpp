// Dropout's masks: the generator against known answers, the masks of every device against the documented formula.
#include "lowrank/dropout.h"

#include <cmath>
#include <vector>

#include "arrays.h"
#include "device.h"
#include "lowrank/step.h"

namespace {

vbl_lowrank make_shape(int64_t tokens, int64_t in, uint32_t module, float dropout, int64_t first_token = 0) {
  return {tokens, in, 0, first_token, dropout, VBL_FLOAT32, VBL_FLOAT32, 1, {{1, 0, 1, module, 1}}};
}

std::vector<float> mask_of(vbl_stream *stream, const vbl_lowrank &l, const vbl_step &step, int64_t shift = 0) {
  check::Array<float> mask(stream, l.tokens * l.in_features, NAN, shift);
  check::Array<vbl_step> steps(stream, {step});
  CHECK_STATUS(VBL_OK, vbl_dropout_mask(stream, &l, 0, steps.data(), mask.data()));
  return mask.get();
}

}  // namespace

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

// One element at a time.
TEST(a_mask_is_what_the_header_says) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (int round = 0; round < 8; ++round) {
      const float dropout = random.uniform(0.01f, 0.9f);
      const uint32_t module = static_cast<uint32_t>(random.next()), micro_batch = random.next() & 0xFFFF;
      const int64_t first = round % 2 == 0 ? 0 : random.between(0, int64_t{1} << 36);  // beyond 2^32 counters
      const vbl_lowrank l = make_shape(random.between(1, 40), random.between(1, 700), module, dropout, first);
      const int64_t number = random.between(1, int64_t{1} << 40);
      const vbl_step step = check::make_step(number, random.next(), static_cast<int32_t>(micro_batch));
      const double threshold = std::nearbyint(static_cast<double>(dropout) * 0x1p32);
      const float kept = static_cast<float>(1 / (1 - static_cast<double>(dropout)));
      const std::vector<float> mask = mask_of(stream, l, step);
      int64_t wrong = 0;
      for (size_t i = 0; i < mask.size(); ++i) {
        const uint64_t e = static_cast<uint64_t>(first * l.in_features) + i;
        uint64_t c[4][1] = {{static_cast<uint32_t>(e / 4)},
                            {static_cast<uint32_t>(e / 4 >> 32) | micro_batch << 16},
                            {module},
                            {static_cast<uint32_t>(step.step)}};
        vbl::philox4x32_10<vbl::PhiloxLane>(c, static_cast<uint32_t>(step.seed),
                                            static_cast<uint32_t>(step.seed >> 32));
        wrong += mask[i] != (static_cast<uint32_t>(c[e % 4][0]) >= threshold ? kept : 0.0f);
      }
      CHECK(wrong == 0);
      CHECK(check::same_bits(mask, mask_of(check::CpuStream(5), l, step)));
      CHECK(check::same_bits(mask, mask_of(stream, l, step, 1)));
    }
  });
}

TEST(a_batch_passed_in_pieces_draws_the_mask_of_the_whole) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 1);
    for (int round = 0; round < 6; ++round) {
      const int64_t tokens = random.between(2, 60), in = random.between(1, 300), cut = random.between(1, tokens - 1);
      const vbl_lowrank whole = make_shape(tokens, in, 3, 0.4f, 5);
      vbl_lowrank head = whole, tail = whole;
      head.tokens = cut;
      tail.tokens = tokens - cut;
      tail.first_token += cut;
      const vbl_step step = check::make_step(2, random.next(), 1);
      std::vector<float> pieces = mask_of(stream, head, step);
      const std::vector<float> rest = mask_of(stream, tail, step);
      pieces.insert(pieces.end(), rest.begin(), rest.end());
      CHECK(check::same_bits(pieces, mask_of(stream, whole, step)));
    }
  });
}

// On the CPU; the masks of other devices equal its own.
TEST(masks_have_the_right_share_and_depend_on_every_key) {
  const check::CpuStream stream;
  const vbl_lowrank l = make_shape(1000, 1000, 7, 0.25f);
  const vbl_step step = check::make_step(3, 0x123456789ABCDEFull, 2);
  const std::vector<float> mask = mask_of(stream, l, step);
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
  CHECK(agreement(mask_of(stream, l, step)) == 1);
  vbl_lowrank other_module = l;
  other_module.member[0].module = 8;
  vbl_step other_step = step, other_seed = step, other_high_seed = step, other_micro_batch = step;
  other_step.step = 4;
  other_seed.seed += 1;
  other_high_seed.seed += uint64_t{1} << 32;
  other_micro_batch.micro_batch = 1;
  // Independent masks agree with probability 0.75² + 0.25².
  for (const std::vector<float> &other :
       {mask_of(stream, other_module, step), mask_of(stream, l, other_step), mask_of(stream, l, other_seed),
        mask_of(stream, l, other_high_seed), mask_of(stream, l, other_micro_batch)})
    CHECK_NEAR(agreement(other), 0.625, 0.0025);
}

TEST(without_dropout_everything_is_kept) {
  check::for_each_device([](vbl_stream *stream) {
    const vbl_lowrank l = make_shape(9, 33, 1, 0);
    check::Array<float> mask(stream, 9 * 33, NAN);
    CHECK_STATUS(VBL_OK, vbl_dropout_mask(stream, &l, 0, nullptr, mask.data()));
    for (const float m : mask.get()) CHECK(m == 1);
  });
}

// Few words equal a threshold by chance: dropout is what makes one of the words drawn, of 24 bits, the threshold.
TEST(a_word_at_the_threshold_is_kept) {
  check::for_each_device([](vbl_stream *stream) {
    vbl_lowrank l = make_shape(1, 4096, 5, 0);
    const vbl_step step = check::make_step(1, check::seed(), 0);
    int found = 0;
    for (uint64_t block = 0; block < 1024; ++block) {
      uint64_t c[4][1] = {{block}, {0}, {l.member[0].module}, {1}};
      vbl::philox4x32_10<vbl::PhiloxLane>(c, static_cast<uint32_t>(step.seed), static_cast<uint32_t>(step.seed >> 32));
      for (uint64_t i = 0; i < 4; ++i) {
        const uint32_t word = static_cast<uint32_t>(c[i][0]);
        if (word % 256 != 0 || word == 0) continue;
        ++found;
        l.dropout = static_cast<float>(word * 0x1p-32);
        CHECK(mask_of(stream, l, step)[4 * block + i] > 0);
        l.dropout = std::nextafter(l.dropout, 1.0f);
        CHECK(mask_of(stream, l, step)[4 * block + i] == 0);
      }
    }
    CHECK(found > 0);
  });
}

// A CUDA stream cannot refuse a micro-batch out of range: its low 16 bits count.
TEST(micro_batches_out_of_range_count_by_their_low_bits) {
  check::on_cuda([](vbl_stream *stream) {
    const vbl_lowrank l = make_shape(20, 33, 1, 0.5f);
    CHECK(check::same_bits(mask_of(stream, l, check::make_step(1, 2, 65536 + 3)),
                           mask_of(stream, l, check::make_step(1, 2, 3))));
  });
}
