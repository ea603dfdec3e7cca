// Every op that has a CUDA side gives the same bits whatever the order in which threads and blocks come. On the SIMT
// host each run has an order of its own, of blocks, warps and lanes (native/simt/README.md); on a GPU nobody chooses
// it, and runs are just repeated. every_kernel.cmake finds the kernels that this test does not launch.
#include <dlfcn.h>

#include "device.h"
#include "every_op.h"

using every_op::Outputs;
using every_op::Shape;

namespace {

constexpr uint64_t kOrders = 20;

// The seed of the SIMT host, where that is the device.
class Seed {
 public:
  Seed()
      : set_(reinterpret_cast<void (*)(uint64_t)>(dlsym(RTLD_DEFAULT, "simt_set_seed"))),
        get_(reinterpret_cast<uint64_t (*)()>(dlsym(RTLD_DEFAULT, "simt_get_seed"))),
        before_(get_ != nullptr ? get_() : 0) {}
  ~Seed() { set(before_); }
  void set(uint64_t seed) const {
    if (set_ != nullptr) set_(seed);
  }

 private:
  void (*set_)(uint64_t);
  uint64_t (*get_)();
  uint64_t before_;
};

// Calls run(outputs, garbage), which fills scratch memory with the garbage, in one order after another.
template <typename Run>
void same_in_every_order(vbl_stream *stream, const Run &run) {
  const Seed seed;
  Outputs expected(stream);
  seed.set(0);
  run(expected, 0);
  for (uint64_t order = 1; order <= kOrders; ++order) {
    Outputs found(stream);
    seed.set(order);
    run(found, static_cast<char>(37 * order));
    const std::string difference = expected.difference(found);
    if (!difference.empty())
      check::failed(__FILE__, __LINE__, "%s differs between SIMT_SEED=0 and %d", difference.c_str(),
                    static_cast<int>(order));
  }
}

}  // namespace

TEST(optimizer_steps_are_the_same_in_every_order) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    const auto same = [&](const Shape &shape, int64_t shift) {
      const every_op::Input input(random, shape);
      same_in_every_order(stream, [&](Outputs &outputs, char garbage) {
        const every_op::Step step(stream, input, shift, garbage);
        step.run(outputs);
        CHECK(step.found_full_list());
      });
    };
    same({34, 900, 20, 4}, 0);
    same({260, 6, 3, 1}, 3);    // the kernels with a thread per row in several blocks, one bank vector for all rows
    same({20, 130, 68, 8}, 1);  // topk in a queue
    same({9, 130, 70, 40}, 0);  // a block per row
    same({3, 1300, 4, 2}, 0);   // the warps of a block share a row
  });
}

TEST(low_rank_ops_are_the_same_in_every_order) {
  check::on_cuda([](vbl_stream *stream) {
    const auto same = [&](const every_op::LowRankShape &s, int64_t shift) {
      same_in_every_order(stream, [&](Outputs &outputs, char garbage) {
        every_op::LowRank(stream, s, check::seed(), shift, garbage).run(outputs);
      });
    };
    same({9, 300, 140, 2, 2, 0.3f, 0.5f, 1, VBL_FLOAT32, VBL_BFLOAT16}, 0);
    same({37, 60, 52, 9, 1, 0.3f, 2, 0, VBL_BFLOAT16, VBL_FLOAT32}, 1);  // three slices of ranks, tokens shared out
  });
}

TEST(ops_around_products_are_the_same_in_every_order) {
  check::on_cuda([](vbl_stream *stream) {
    const auto same = [&](const every_op::ActivationShape &s, int64_t shift) {
      same_in_every_order(
          stream, [&](Outputs &outputs, char) { every_op::Transformer(stream, s, check::seed(), shift).run(outputs); });
    };
    same({37, 264, VBL_FLOAT32}, 0);
    same({5, 4104, VBL_BFLOAT16}, 0);  // rows of several blocks
    same({70, 67, VBL_FLOAT16}, 1);    // single elements
  });
}
