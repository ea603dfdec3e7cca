// The runtime on CUDA devices: what a refused call leaves behind, and memory of the device that it was allocated for.
#include "device.h"

TEST(a_refused_call_does_not_fail_the_next_op) {
  check::on_cuda([](vbl_stream *stream) {
    vbl_stream *default_stream = nullptr;
    CHECK_STATUS(VBL_OK, vbl_stream_wrap(0, nullptr, &default_stream));
    CHECK_STATUS(VBL_CUDA_ERROR, vbl_graph_begin(default_stream));  // CUDA captures any other one
    CHECK_STATUS(VBL_OK, vbl_stream_destroy(default_stream));
    const check::Array<float> wide(stream, {1, -2, 0.5f});
    const check::Array<uint16_t> narrow(stream, 3, uint16_t{0});
    CHECK_STATUS(VBL_OK, vbl_convert(stream, 3, wide.data(), VBL_FLOAT32, narrow.data(), VBL_BFLOAT16));
    CHECK((narrow.get() == std::vector<uint16_t>{0x3F80, 0xC000, 0x3F00}));
  });
}

TEST(memory_is_freed_for_the_device_that_it_was_allocated_for) {
  check::on_cuda([](vbl_stream *) {
    const int64_t before = vbl_allocated_bytes();
    const int32_t kinds[] = {0, VBL_HOST_PINNED};
    for (int i = 0; i < 2; ++i) {
      void *memory = nullptr;
      CHECK_STATUS(VBL_OK, vbl_malloc(kinds[i], 1000, &memory));
      CHECK(vbl_allocated_bytes() == before + 1000);
      CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_free(kinds[1 - i], memory));
      CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_free(kinds[i], static_cast<char *>(memory) + 64));
      CHECK(vbl_allocated_bytes() == before + 1000);
      CHECK_STATUS(VBL_OK, vbl_free(kinds[i], memory));
      CHECK(vbl_allocated_bytes() == before);
      CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_free(kinds[i], memory));
    }
  });
}
