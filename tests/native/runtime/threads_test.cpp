// What a stream does when the system does not give it all threads: pthread_create of this executable, which the library
// calls in place of the C library's, refuses from a certain thread on.
#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <vector>

#include "check.h"

namespace {

int allowed = INT_MAX, asked = 0;

}  // namespace

extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t *thread,
                                                                     const pthread_attr_t *attributes,
                                                                     void *(*start)(void *), void *argument) {
  if (++asked > allowed) return EAGAIN;
  static const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, start, argument);
}

TEST(streams_say_how_many_threads_could_not_be_started) {
  for (int started : {0, 1, 5}) {
    allowed = started;
    asked = 0;
    vbl_stream *stream = nullptr;
    CHECK_STATUS(VBL_OUT_OF_MEMORY, vbl_stream_create(VBL_DEVICE_CPU, 7, &stream));
    CHECK(asked == started + 1);  // or the library does not call this file's function
    CHECK(stream == nullptr);
    CHECK(std::strstr(vbl_last_error(), "7 threads could not be started: ") == vbl_last_error());

    // One thread needs no other, and the next stream has all of its threads.
    CHECK_STATUS(VBL_OK, vbl_stream_create(VBL_DEVICE_CPU, 1, &stream));
    CHECK_STATUS(VBL_OK, vbl_stream_destroy(stream));
    allowed = INT_MAX;
    CHECK_STATUS(VBL_OK, vbl_stream_create(VBL_DEVICE_CPU, 7, &stream));
    CHECK(vbl_stream_threads(stream) == 7);
    const std::vector<float> source(500000, 3);
    std::vector<float> copy(source.size());
    CHECK_STATUS(VBL_OK, vbl_convert(stream, static_cast<int64_t>(source.size()), source.data(), VBL_FLOAT32,
                                     copy.data(), VBL_FLOAT32));
    CHECK(copy == source);
    CHECK_STATUS(VBL_OK, vbl_stream_destroy(stream));
  }
}
