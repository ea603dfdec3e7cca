// Offsets beyond 2^31 elements on the SIMT host, in arrays larger than memory of which the ops touch or write little. It
// is the host's memory, which a GPU could not read. With VBLORA_TEST_SLOW=1 in the environment three more ops run, which
// take half a minute to a minute each. Not here are ops that write or read all of such an array: adamw, sum_squares,
// convert, active_load, silu_mul, and of the low-rank ops all but the forward pass.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "admixture/reference.h"
#include "bench/active_set.h"
#include "bench/adamw_step.h"
#include "device.h"

using reference::Shape;

namespace {

constexpr int64_t kLimit = int64_t{1} << 31;

// n elements, zero, which exist only where they are touched.
template <typename T>
class Sparse {
 public:
  explicit Sparse(int64_t n) : bytes_(static_cast<size_t>(n) * sizeof(T)) {
    void *memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::fprintf(stderr, "no address space for %zu bytes\n", bytes_);
      std::abort();
    }
    data_ = static_cast<T *>(memory);
  }
  ~Sparse() { munmap(data_, bytes_); }
  Sparse(const Sparse &) = delete;
  Sparse &operator=(const Sparse &) = delete;

  // Puts the same period elements, zero, in all of the first n. They take the memory of one period, also on systems
  // where elements that are only read take memory. A period is a multiple of pages.
  void repeat(int64_t n, int64_t period) const {
    const size_t bytes = static_cast<size_t>(period) * sizeof(T);
    const int file = memfd_create("period", 0);
    bool mapped = file >= 0 && ftruncate(file, static_cast<off_t>(bytes)) == 0;
    for (int64_t i = 0; mapped && i + period <= n; i += period)
      mapped = mmap(data_ + i, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED;
    if (!mapped) {
      std::perror("no memory for a period");
      std::abort();
    }
    close(file);
  }

  T *data() const { return data_; }
  T &operator[](int64_t i) const { return data_[i]; }

 private:
  size_t bytes_;
  T *data_;
};

template <typename Body>
void on_simt(const Body &body) {
  if (dlsym(RTLD_DEFAULT, "simt_get_seed") != nullptr) check::on_cuda(body);
}

template <typename Body>
void slowly_on_simt(const Body &body) {
  if (std::getenv("VBLORA_TEST_SLOW") != nullptr) on_simt(body);
}

// An active set: four candidates for each row, three active entries in a few of them.
struct ActiveSet : reference::ActiveSet<check::Array, Sparse> {
  Shape shape;

  ActiveSet(vbl_stream *stream, const Shape &s, int32_t capacity)
      : reference::ActiveSet<check::Array, Sparse>(
            [&](int64_t n, auto value) { return check::Array<decltype(value)>(stream, n, value); },
            [](int64_t n, auto value) { return Sparse<decltype(value)>(n); }, s.rows, capacity, 4),
        shape(s) {}

  void fill() {
    std::vector<int32_t> counts(static_cast<size_t>(shape.rows), 0), candidates;
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (const int32_t i : {1, 2, 7, 9}) candidates.push_back(shape.num_vectors - i);
      if (row % 171 > 1) continue;
      counts[static_cast<size_t>(row)] = 3;
      for (int64_t i = 0; i < 3; ++i) {
        const int64_t at = row * active.capacity + i;
        index[at] = static_cast<int32_t>(100 * i + row);
        logit[at] = 0.5f - 0.25f * static_cast<float>(i);
        exp_avg[at] = 0.01f * static_cast<float>(row);
        exp_avg_sq[at] = 0.01f;
      }
    }
    count.set(counts);
    candidate_count.set(std::vector<int32_t>(static_cast<size_t>(shape.rows), 4));
    candidate_index.set(candidates);
  }

  // Compares the places in use.
  bool same(const ActiveSet &other) const {
    const std::vector<int32_t> counts = count.get(), candidates = candidate_count.get();
    const std::vector<int32_t> ours = candidate_index.get(), theirs = other.candidate_index.get();
    bool equal = counts == other.count.get() && candidates == other.candidate_count.get();
    for (int64_t row = 0; equal && row < shape.rows; ++row) {
      const size_t at = static_cast<size_t>(row);
      equal = std::equal(&ours[4 * at], &ours[4 * at] + candidates[at], &theirs[4 * at]);
      for (int64_t i = 0; i < counts[at]; ++i) {
        const int64_t here = row * active.capacity + i, there = row * other.active.capacity + i;
        equal = equal && index[here] == other.index[there] && logit[here] == other.logit[there] &&
                exp_avg[here] == other.exp_avg[there] && exp_avg_sq[here] == other.exp_avg_sq[there];
      }
    }
    return equal;
  }
};

// A step with the last two vectors of each row selected.
std::vector<int32_t> active_step(vbl_stream *stream, const ActiveSet &set, const float *logits) {
  const vbl_admixture admixture = set.shape.admixture();
  reference::AdamwStep constants = {};
  constants.gradient_scale = constants.clip_factor = 1;
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&constants.group[0], 5, 0.5, 0.9, 0.999, 1e-8, 0));
  const check::Array<reference::AdamwStep> step(stream, std::vector<reference::AdamwStep>{constants});
  std::vector<int32_t> selected;
  for (int64_t row = 0; row < set.shape.rows; ++row)
    for (const int32_t i : {1, 2}) selected.push_back(set.shape.num_vectors - i);
  const int64_t n = static_cast<int64_t>(selected.size());
  const check::Array<int32_t> indices(stream, selected);
  const check::Array<float> weights(stream, n, NAN), dlogits(stream, n, -1.0f);
  const check::Array<int64_t> bad_row(stream, 1, -2);
  const check::Array<char> scratch(stream, vbl_active_scratch_bytes(stream, &admixture), -1);
  CHECK_STATUS(VBL_OK, vbl_adamw_active_select(stream, &admixture, &set.active, step.data(), step.data()->group, logits,
                                               dlogits.data(), indices.data(), weights.data(), bad_row.data(),
                                               scratch.data(), scratch.size()));
  return indices.get();
}

}  // namespace

// On the CPU the same set has short lists.
TEST(active_sets_have_long_lists) {
  on_simt([](vbl_stream *stream) {
    check::CpuStream cpu;
    const Shape shape = {514, 1 << 22, 1, 2};
    const vbl_admixture admixture = shape.admixture();
    const Sparse<float> logits(shape.rows * shape.num_vectors);
    for (int64_t row = 0; row < shape.rows; ++row) {
      logits[(row + 1) * shape.num_vectors - 1] = 0.125f * static_cast<float>(row % 5);
      logits[(row + 1) * shape.num_vectors - 7] = 0.375f;
    }
    ActiveSet expected(cpu, shape, 16), far(stream, shape, shape.num_vectors);
    const ActiveSet copy(stream, shape, shape.num_vectors - 1);
    expected.fill();
    far.fill();
    CHECK_STATUS(VBL_OK, vbl_active_copy(stream, &admixture, &far.active, &copy.active));
    CHECK(copy.same(far) && copy.max_count.get()[0] == 3);
    const std::vector<int32_t> selected = active_step(cpu, expected, logits.data());
    CHECK(selected == active_step(stream, far, logits.data()) && far.same(expected));
    CHECK(selected == active_step(stream, copy, logits.data()) && copy.same(expected));

    const Sparse<float> stored(shape.rows * shape.num_vectors);
    CHECK_STATUS(VBL_OK, vbl_active_store(stream, &admixture, &far.active, stored.data(), nullptr, nullptr));
    CHECK(far.max_count.get()[0] == 5);
    const std::vector<int32_t> counts = far.count.get();
    for (int64_t row = 0; row < shape.rows; ++row) {
      CHECK(counts[static_cast<size_t>(row)] == (row % 171 > 1 ? 2 : 5));
      for (int64_t i = 0; i < counts[static_cast<size_t>(row)]; ++i) {
        const int64_t at = row * shape.num_vectors + i;
        CHECK(stored[row * shape.num_vectors + far.index[at]] == far.logit[at]);
      }
    }
  });
}

TEST(select_reads_all_rows) {
  on_simt([](vbl_stream *stream) {
    const Shape shape = {8193, 1 << 18, 1, 1};
    const vbl_admixture admixture = shape.admixture();
    const Sparse<float> logits(shape.rows * shape.num_vectors);
    logits.repeat(kLimit, shape.num_vectors);
    logits[3] = logits[kLimit + 700] = 1;  // of all rows but the last, and of that
    const check::Array<int32_t> indices(stream, shape.rows, -1);
    const check::Array<float> weights(stream, shape.rows, NAN);
    const check::Array<int64_t> bad_row(stream, 1, -2);
    CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), bad_row.data()));
    const std::vector<int32_t> found = indices.get();
    for (int64_t row = 0; row < shape.rows; ++row) CHECK(found[row] == (row < 8192 ? 3 : 700));
  });
}

TEST(compose_writes_far) {
  on_simt([](vbl_stream *stream) {
    const Shape shape = {2049, 1, (1 << 20) + 8, 1};
    std::vector<int32_t> slots(2049, -1);
    slots[3] = 2048;
    const check::Array<int32_t> places(stream, slots), indices(stream, 2049, 0);
    const check::Array<float> weights(stream, 2049, 1.0f);
    const vbl_admixture admixture = shape.admixture(places.data());
    const Sparse<float> bank(shape.vector_length);
    const Sparse<uint16_t> packed(shape.rows * shape.vector_length);
    bank[0] = 1, bank[shape.vector_length - 1] = 2;
    CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(),
                                     VBL_BFLOAT16));
    CHECK(packed[int64_t{2048} * shape.vector_length] == 0x3F80);
    CHECK(packed[int64_t{2049} * shape.vector_length - 1] == 0x4000);
  });
}

TEST(compose_reads_a_far_vector) {
  on_simt([](vbl_stream *stream) {
    const Shape shape = {2, (1 << 23) + 2, 256, 1};
    const vbl_admixture admixture = shape.admixture();
    const Sparse<float> bank(int64_t{shape.num_vectors} * shape.vector_length);
    for (int64_t i = 0; i < 256; ++i) bank[i] = -1, bank[(kLimit + 256) + i] = static_cast<float>(i);
    const check::Array<int32_t> indices(stream, std::vector<int32_t>{(1 << 23) + 1, 0});
    const check::Array<float> weights(stream, 2, 1.0f), packed(stream, 512, NAN);
    CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(),
                                     VBL_FLOAT32));
    const std::vector<float> found = packed.get();
    for (int i = 0; i < 256; ++i) CHECK(found[i] == static_cast<float>(i) && found[256 + i] == -1);
  });
}

TEST(backward_reads_a_far_slot) {
  slowly_on_simt([](vbl_stream *stream) {
    const Shape shape = {(1 << 19) + 2, 1, 4096, 1};
    const Sparse<int32_t> slots(shape.rows), indices(shape.rows);
    for (int64_t row = 0; row < shape.rows; ++row) slots[row] = -1;
    slots[7] = (1 << 19) + 1;
    const vbl_admixture admixture = shape.admixture(slots.data());
    const check::Array<float> bank(stream, 4096, 1.0f), dbank(stream, 4096, NAN);
    const Sparse<float> weights(shape.rows), dpacked(shape.rows * 4096), dlogits(shape.rows);
    weights[7] = 0.5f;
    for (int64_t i = 0; i < 4096; ++i) dpacked[i] = -1, dpacked[kLimit + 4096 + i] = static_cast<float>(i);
    const check::Array<char> scratch(stream, vbl_admixture_backward_scratch_bytes(stream, &admixture), -1);
    CHECK_STATUS(VBL_OK,
                 vbl_admixture_backward(stream, &admixture, bank.data(), indices.data(), weights.data(), dpacked.data(),
                                        dlogits.data(), dbank.data(), scratch.data(), scratch.size()));
    const std::vector<float> found = dbank.get();
    for (int i = 0; i < 4096; ++i) CHECK(found[i] == 0.5f * static_cast<float>(i));
  });
}

TEST(lowrank_forward_reads_far_tokens) {
  slowly_on_simt([](vbl_stream *stream) {
    const vbl_lowrank l = {33, int64_t{1} << 26, 0, 0, 0, VBL_BFLOAT16, VBL_BFLOAT16, 1, {{1, 0, 1, 0, 1}}};
    constexpr uint16_t kOne = 0x3F80, kTwo = 0x4000, kThree = 0x4040;
    const Sparse<uint16_t> x(l.tokens * l.in_features), a(l.in_features);
    const int64_t last = (l.tokens - 1) * l.in_features;
    x[0] = kOne, x[l.in_features - 1] = kOne;
    x[last] = kTwo, x[last + 70001] = kThree, x[last + l.in_features - 1] = kThree;
    a[0] = kOne, a[70001] = kTwo, a[l.in_features - 1] = kThree;
    const check::Array<uint16_t> bt(stream, 1, kTwo), y(stream, l.tokens, kOne);
    const check::Array<float> p(stream, l.tokens, NAN);
    const vbl_lowrank_matrices of = {a.data(), bt.data(), p.data(), y.data(), nullptr, nullptr, nullptr, nullptr};
    CHECK_STATUS(VBL_OK, vbl_lowrank_forward(stream, &l, nullptr, x.data(), &of));
    std::vector<float> expected(static_cast<size_t>(l.tokens), 0.0f);
    expected[0] = 1 + 3, expected[32] = 2 + 6 + 9;
    CHECK(p.get() == expected);
    const std::vector<uint16_t> sums = y.get();
    CHECK(sums[0] == 0x4110 && sums[1] == kOne && sums[32] == 0x420C);  // 1 + 2 · 4 and 1 + 2 · 17
  });
}

TEST(adamw_select_reads_all_rows) {
  slowly_on_simt([](vbl_stream *stream) {
    const Shape shape = {8193, 1 << 18, 1, 1};
    const vbl_admixture admixture = shape.admixture();
    const Sparse<float> logits(shape.rows * shape.num_vectors), exp_avg(shape.rows * shape.num_vectors);
    const Sparse<float> exp_avg_sq(shape.rows * shape.num_vectors);
    reference::AdamwStep constants = {};
    constants.gradient_scale = constants.clip_factor = 1;
    CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&constants.group[0], 1, 0.5, 0.9, 0.999, 1e-8, 0));
    const check::Array<reference::AdamwStep> step(stream, std::vector<reference::AdamwStep>{constants});
    std::vector<int32_t> selected;
    for (int64_t row = 0; row < shape.rows; ++row) selected.push_back(static_cast<int32_t>(row % 1000 + 5));
    const check::Array<int32_t> indices(stream, selected);
    const check::Array<float> weights(stream, shape.rows, NAN), dlogits(stream, shape.rows, -1.0f);
    const check::Array<int64_t> bad_row(stream, 1, -2);
    CHECK_STATUS(VBL_OK,
                 vbl_adamw_select(stream, &admixture, step.data(), step.data()->group, logits.data(), dlogits.data(),
                                  exp_avg.data(), exp_avg_sq.data(), indices.data(), weights.data(), bad_row.data()));
    CHECK(indices.get() == selected);
    for (int64_t row = 0; row < shape.rows; ++row) CHECK(logits[row * shape.num_vectors + selected[row]] > 0.49f);
  });
}
