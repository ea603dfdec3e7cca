// Several CUDA devices: whatever is done with a stream, memory, an event or a graph is done on its device, whichever is
// current, and the current one is left as it was. The SIMT host is told to have three, of which the last cannot be used
// (CMakeLists.txt); with fewer than two devices there is nothing to test.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "every_op.h"

using every_op::Outputs;

namespace {

// The driver's contexts: the device of a thread's context is current.
class Driver {
 public:
  Driver() {
    find("cuCtxGetCurrent", &get_current_);
    find("cuCtxSetCurrent", &set_current_);
    find("cuDevicePrimaryCtxRetain", &retain_);
    find("cuDevicePrimaryCtxGetState", &get_state_);
    find("cuPointerGetAttribute", &attribute_);
  }
  void *current() const {
    void *context = nullptr;
    CHECK(get_current_(&context) == 0);
    return context;
  }
  // Makes it current; returns its context.
  void *use(int device) const {
    void *context = nullptr;
    CHECK(retain_(&context, device) == 0 && set_current_(context) == 0);
    return context;
  }
  void use_none() const { CHECK(set_current_(nullptr) == 0); }
  // Whether the process has a context on the device.
  bool has_context(int device) const {
    unsigned flags = 0;
    int active = 0;
    CHECK(get_state_(device, &flags, &active) == 0);
    return active != 0;
  }
  int device_of(const void *memory) const {
    constexpr int kDeviceOrdinal = 9;
    int device = -1;
    CHECK(attribute_(&device, kDeviceOrdinal, reinterpret_cast<uintptr_t>(memory)) == 0);
    return device;
  }

 private:
  template <typename Function>
  static void find(const char *name, Function **function) {
    // The SIMT host has these functions behind its runtime, which is a library of its own.
    using Entry = int (*)(const char *, void **, unsigned, unsigned long long, int *);
    void *found = nullptr;
    if (const auto entry = reinterpret_cast<Entry>(dlsym(RTLD_DEFAULT, "cudaGetDriverEntryPointByVersion"))) {
      entry(name, &found, 12000, 0, nullptr);
    } else {
      found = dlsym(dlopen("libcuda.so.1", RTLD_NOW), name);
    }
    if (found == nullptr) {
      std::fprintf(stderr, "the driver has no %s\n", name);
      std::abort();
    }
    *function = reinterpret_cast<Function *>(found);
  }

  int (*get_current_)(void **);
  int (*set_current_)(void *);
  int (*retain_)(void **, int);
  int (*get_state_)(int, unsigned *, int *);
  int (*attribute_)(void *, int, unsigned long long);
};

int32_t device_count() {
  int32_t count = 0;
  return vbl_cuda_device_count(&count) == VBL_OK ? count : 0;
}

// The device of the SIMT host on which no context can be opened; -1 if there is none.
int32_t unavailable_device() {
  const char *text = std::getenv("SIMT_UNAVAILABLE");
  return text != nullptr && dlsym(RTLD_DEFAULT, "simt_get_seed") != nullptr ? std::atoi(text) : -1;
}

// A stream for the length of a scope.
class Stream {
 public:
  explicit Stream(int32_t device) { CHECK_STATUS(VBL_OK, vbl_stream_create(device, 0, &stream_)); }
  Stream(int32_t device, void *cuda) { CHECK_STATUS(VBL_OK, vbl_stream_wrap(device, cuda, &stream_)); }
  ~Stream() { vbl_stream_destroy(stream_); }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  operator vbl_stream *() const { return stream_; }

 private:
  vbl_stream *stream_ = nullptr;
};

// Streams, memory, events, graphs of a device. `check` follows each call.
template <typename Check>
void use_the_runtime(int32_t device, const Driver &driver, const Check &check) {
  const auto ok = [&](vbl_status status) {
    CHECK_STATUS(VBL_OK, status);
    check();
  };
  vbl_stream *stream = nullptr, *same = nullptr, *by_default = nullptr;
  ok(vbl_stream_create(device, 0, &stream));
  ok(vbl_stream_wrap(device, vbl_stream_cuda(stream), &same));
  ok(vbl_stream_wrap(device, nullptr, &by_default));
  void *memory = nullptr;
  ok(vbl_malloc(device, 64, &memory));
  CHECK(driver.device_of(memory) == device);
  char host[64];
  const auto holds = [&](char value) {
    for (const char c : host)
      if (c != value) return false;
    return true;
  };
  ok(vbl_memset_blocking(device, memory, 1, 64));
  ok(vbl_memcpy_blocking(device, host, memory, 64));
  CHECK(holds(1));
  for (vbl_stream *s : {stream, same, by_default}) {
    std::memset(host, 0, sizeof host);
    ok(vbl_memset(s, memory, 2, 64));
    ok(vbl_memcpy(s, host, memory, 64));
    ok(vbl_stream_synchronize(s));
    CHECK(holds(2));
  }

  vbl_event *start = nullptr, *end = nullptr;
  int32_t done = 0;
  float milliseconds = -1;
  ok(vbl_event_create(device, &start));
  ok(vbl_event_create(device, &end));
  ok(vbl_event_record(start, stream));
  ok(vbl_event_record(end, stream));
  ok(vbl_stream_wait(same, end));
  ok(vbl_event_synchronize(end));
  ok(vbl_event_query(end, &done));
  ok(vbl_event_elapsed(start, end, &milliseconds));
  CHECK(done == 1 && milliseconds >= 0);
  ok(vbl_event_destroy(start));
  ok(vbl_event_destroy(end));

  vbl_graph *graph = nullptr;
  ok(vbl_graph_begin(stream));
  ok(vbl_memset(stream, memory, 3, 64));
  ok(vbl_graph_end(stream, &graph));
  ok(vbl_graph_launch(stream, graph));
  ok(vbl_memcpy(stream, host, memory, 64));
  ok(vbl_stream_synchronize(stream));
  CHECK(holds(3));
  ok(vbl_graph_destroy(graph));

  ok(vbl_free(device, memory));
  for (vbl_stream *s : {by_default, same, stream}) ok(vbl_stream_destroy(s));
}

// The ops of all families, one after another.
class Ops {
 public:
  explicit Ops(vbl_stream *stream) : outputs_(stream) {
    check::Random random(check::seed());
    const every_op::Input input(random, {20, 300, 12, 3});
    every_op::Step(stream, input, 0, 5).run(outputs_);
    every_op::LowRank(stream, {9, 300, 140, 2, 1, 0.3f, 0.5f, 1, VBL_FLOAT32, VBL_BFLOAT16}, check::seed(), 0, 5)
        .run(outputs_);
  }
  const Outputs &outputs() const { return outputs_; }

 private:
  Outputs outputs_;
};

}  // namespace

// First of all, while no device has a context: a thread that has chosen no device uses device 0 as soon as a call needs
// one, and none of these is to need it.
TEST(nothing_is_opened_on_a_device_that_is_not_used) {
  if (device_count() < 2) return;
  const Driver driver;
  CHECK(driver.current() == nullptr && !driver.has_context(0) && !driver.has_context(1));
  const auto untouched = [&] { CHECK(driver.current() == nullptr && !driver.has_context(0)); };
  use_the_runtime(1, driver, untouched);
  CHECK(driver.has_context(1));
  const Stream stream(1), by_default(1, nullptr);
  const Ops ops(stream), other_ops(by_default);
  CHECK(ops.outputs().difference(other_ops.outputs()) == "");
  untouched();
}

TEST(works_whichever_device_is_current_and_leaves_it_current) {
  if (device_count() < 2) return;
  const Driver driver;
  driver.use(0);
  const Stream first(0);
  const Ops expected(first);
  for (const int32_t device : {0, 1}) {
    for (const int current : {1, 0}) {
      void *const context = driver.use(current);
      const auto is_current = [&] { CHECK(driver.current() == context); };
      use_the_runtime(device, driver, is_current);
      {
        const Stream stream(device);
        const Ops found(stream);
        const std::string difference = expected.outputs().difference(found.outputs());
        if (!difference.empty())
          check::failed(__FILE__, __LINE__, "%s differs on device %d while %d is current", difference.c_str(), device,
                        current);
      }
      is_current();
    }
  }
  driver.use(0);
}

TEST(a_device_that_cannot_be_used_fails_its_ops_and_no_others) {
  const int32_t device = unavailable_device();
  if (device < 0) return;
  const Driver driver;
  void *const context = driver.use(0);
  const Stream usable(0);
  const check::Array<float> x(usable, {1, 2}), y(usable, 2, 0.0f);
  const auto fails = [&](vbl_status status) {
    CHECK_STATUS(VBL_CUDA_ERROR, status);
    CHECK(std::strstr(vbl_last_error(), "unavailable") != nullptr);
    CHECK(driver.current() == context);
    CHECK_STATUS(VBL_OK, vbl_convert(usable, 2, x.data(), VBL_FLOAT32, y.data(), VBL_FLOAT32));
  };
  void *memory = nullptr;
  fails(vbl_malloc(device, 8, &memory));
  CHECK(memory == nullptr);
  fails(vbl_memset_blocking(device, y.data(), 0, 8));
  fails(vbl_memcpy_blocking(device, y.data(), x.data(), 8));
  vbl_stream *stream = nullptr;
  fails(vbl_stream_create(device, 0, &stream));
  vbl_event *event = nullptr;
  fails(vbl_event_create(device, &event));
  CHECK(stream == nullptr && event == nullptr);

  CHECK_STATUS(VBL_OK, vbl_stream_wrap(device, nullptr, &stream));  // which does not use the device yet
  fails(vbl_memset(stream, y.data(), 0, 8));
  fails(vbl_memcpy(stream, y.data(), x.data(), 8));
  fails(vbl_graph_begin(stream));
  fails(vbl_stream_synchronize(stream));
  fails(vbl_convert(stream, 2, x.data(), VBL_FLOAT32, y.data(), VBL_FLOAT32));
  const vbl_lowrank lowrank = {1, 2, 0, 0, 0, VBL_FLOAT32, VBL_FLOAT32, 1, {{2, 0, 1, 0, 1}}};
  const vbl_lowrank_matrices matrices = {x.data(), x.data(), y.data(), y.data(), nullptr, nullptr, nullptr, nullptr};
  fails(vbl_lowrank_forward(stream, &lowrank, nullptr, x.data(), &matrices));
  const vbl_admixture admixture = every_op::Shape{1, 2, 2, 1}.admixture();
  const check::Array<int32_t> indices(usable, 1, 0);
  fails(vbl_compose(stream, &admixture, x.data(), indices.data(), x.data(), y.data(), VBL_FLOAT32));
  const check::Array<double> sum(usable, 1, 0.0);
  const check::Array<vbl_step> step(usable, 1, vbl_step{});
  fails(vbl_clip(stream, sum.data(), 1, step.data()));
  CHECK((y.get() == std::vector<float>{1, 2}));
  CHECK_STATUS(VBL_OK, vbl_stream_destroy(stream));  // which leaves the device alone, too
}
