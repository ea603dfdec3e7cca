// Every op's type of activations: on the CPU they are float32, and anything else is refused before it is touched.
#include <cstring>
#include <string>

#include "check.h"

namespace {

// Memory that every op below finds enough in, whatever it takes it for.
struct Memory {  // without padding, so that its bytes can be compared
  char scratch[1 << 16] = {};
  double loss = 0;
  float x[8] = {1, 2, 3, 4}, y[8] = {}, z[8] = {}, u[8] = {}, w[8] = {1, 1};
  float a[8] = {1, 1}, b[8] = {}, c[8] = {1, 1};
  int32_t zeros[4] = {}, starts[2] = {0, 2};
};

struct Op {
  const char *name;
  vbl_status (*call)(vbl_stream *stream, int32_t dtype, Memory &m);
};

vbl_attention one_token(int32_t dtype) {
  vbl_attention a = {};
  a.batch = a.heads = a.kv_heads = 1;
  a.head_dim = 2;
  a.queries = {1, 1, nullptr, nullptr};
  a.dtype = dtype;
  return a;
}

constexpr int64_t kScratch = sizeof(Memory::scratch);

const Op kOps[] = {
    {"vbl_embedding_forward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_embedding_forward(s, t, 2, 2, 1, m.zeros, m.x, VBL_FLOAT32, 0, m.y);
     }},
    {"vbl_embedding_backward",
     [](vbl_stream *s, int32_t t, Memory &m) { return vbl_embedding_backward(s, t, 2, 2, 1, m.zeros, m.x, m.y); }},
    {"vbl_rmsnorm_forward",
     [](vbl_stream *s, int32_t t, Memory &m) { return vbl_rmsnorm_forward(s, t, 2, 2, 0, m.x, m.w, m.y, m.z); }},
    {"vbl_rmsnorm_backward",
     [](vbl_stream *s, int32_t t, Memory &m) { return vbl_rmsnorm_backward(s, t, 2, 2, m.x, m.x, m.w, m.a, m.y); }},
    {"vbl_layernorm_forward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_layernorm_forward(s, t, 2, 2, 0, m.x, m.w, m.c, m.y, m.z, m.u);
     }},
    {"vbl_layernorm_backward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_layernorm_backward(s, t, 2, 2, m.x, m.x, m.w, m.b, m.a, m.y);
     }},
    {"vbl_norm_weight_backward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_norm_weight_backward(s, t, 2, 2, m.x, m.x, nullptr, m.a, m.y);
     }},
    {"vbl_rope",
     [](vbl_stream *s, int32_t t, Memory &m) { return vbl_rope(s, t, 2, 1, 2, m.zeros, m.b, m.a, 0, m.x, 0); }},
    {"vbl_attention_forward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       const vbl_attention a = one_token(t);
       return vbl_attention_forward(s, &a, m.x, m.x, m.x, m.y, m.z, m.scratch, kScratch);
     }},
    {"vbl_attention_backward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       const vbl_attention a = one_token(t);
       return vbl_attention_backward(s, &a, m.x, m.x, m.x, m.x, m.b, m.x, m.y, m.z, m.u, m.scratch, kScratch);
     }},
    {"vbl_silu_mul_forward",
     [](vbl_stream *s, int32_t t, Memory &m) { return vbl_silu_mul_forward(s, t, 2, 2, m.x, m.x, 0, m.y, 0); }},
    {"vbl_silu_mul_backward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_silu_mul_backward(s, t, 2, 2, m.x, m.x, 0, m.x, 0, m.y, m.z, 0);
     }},
    {"vbl_bias_activation_forward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_bias_activation_forward(s, t, VBL_TANH, 2, 2, m.w, m.x, 0, m.y, 0);
     }},
    {"vbl_bias_activation_backward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_bias_activation_backward(s, t, VBL_TANH, 2, 2, m.x, 0, m.x, 0, m.y, 0, m.z);
     }},
    {"vbl_add_bias", [](vbl_stream *s, int32_t t, Memory &m) { return vbl_add_bias(s, t, 2, 2, m.w, m.x, 0); }},
    {"vbl_add_bias_backward",
     [](vbl_stream *s, int32_t t, Memory &m) { return vbl_add_bias_backward(s, t, 2, 2, m.x, 0, m.y); }},
    {"vbl_pool_forward", [](vbl_stream *s, int32_t t,
                            Memory &m) { return vbl_pool_forward(s, t, VBL_POOL_MEAN, 1, 2, 2, m.starts, m.x, m.y); }},
    {"vbl_pool_backward",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_pool_backward(s, t, VBL_POOL_MEAN, 1, 2, 2, m.starts, m.x, m.y);
     }},
    {"vbl_cross_entropy",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_cross_entropy(s, t, 2, 2, m.x, m.zeros, m.w, &m.loss, m.y, m.scratch, kScratch);
     }},
    {"vbl_squared_error",
     [](vbl_stream *s, int32_t t, Memory &m) {
       return vbl_squared_error(s, t, 4, m.x, m.w, m.w, &m.loss, m.y, m.scratch, kScratch);
     }},
};

}  // namespace

TEST(every_op_takes_float32_and_refuses_other_types_on_the_cpu) {
  check::CpuStream stream(1);
  const Memory before;
  for (const Op &op : kOps) {
    Memory taken;
    CHECK_STATUS(VBL_OK, op.call(stream, VBL_FLOAT32, taken));
    if (std::memcmp(&taken, &before, sizeof before) == 0)
      check::failed(__FILE__, __LINE__, "%s changed nothing", op.name);
    const struct {
      int32_t dtype;
      vbl_status expected;
      const char *words;
    } refused[] = {{VBL_BFLOAT16, VBL_UNSUPPORTED, ": on the CPU dtype must be float32 (0), found 1"},
                   {VBL_FLOAT16, VBL_UNSUPPORTED, ": on the CPU dtype must be float32 (0), found 2"},
                   {-1, VBL_INVALID_ARGUMENT, ": unknown dtype -1"},
                   {3, VBL_INVALID_ARGUMENT, ": unknown dtype 3"}};
    for (const auto &r : refused) {
      Memory memory;
      CHECK_STATUS(r.expected, op.call(stream, r.dtype, memory));
      if (std::string(vbl_last_error()) != std::string(op.name) + r.words)
        check::failed(__FILE__, __LINE__, "%s with dtype %d: %s", op.name, r.dtype, vbl_last_error());
      if (std::memcmp(&memory, &before, sizeof before) != 0)
        check::failed(__FILE__, __LINE__, "%s wrote before it refused dtype %d", op.name, r.dtype);
    }
  }
}

TEST(the_scratch_of_attention_is_refused_for_types_that_the_cpu_has_not) {
  check::CpuStream stream(1);
  for (int32_t dtype : {VBL_BFLOAT16, VBL_FLOAT16}) {
    const vbl_attention a = one_token(dtype);
    CHECK(vbl_attention_scratch_bytes(stream, &a) == -VBL_UNSUPPORTED);
  }
  const vbl_attention unknown = one_token(3);
  CHECK(vbl_attention_scratch_bytes(stream, &unknown) == -1);
}
