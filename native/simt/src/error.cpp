#include "error.h"

#include <cstdio>
#include <utility>

#include "simt/simt.h"

namespace simt {
namespace {

struct LastError {
  cudaError_t code = cudaSuccess;
  std::string message;
};
thread_local LastError t_last;

const struct {
  cudaError_t code;
  const char *name, *text;
} kErrors[] = {
#define SIMT_ERROR(code, number, text) {cuda##code, "cuda" #code, text},
#include "simt/errors.h"
#undef SIMT_ERROR
};

}  // namespace

cudaError_t report(cudaError_t error, const std::string &message) {
  if (error == cudaSuccess) return error;
  t_last.code = error;
  t_last.message = message.empty() ? cudaGetErrorString(error) : message;
  if (!message.empty()) std::fprintf(stderr, "simt: %s\n", message.c_str());
  return error;
}

}  // namespace simt

cudaError_t cudaGetLastError(void) { return std::exchange(simt::t_last.code, cudaSuccess); }

cudaError_t cudaPeekAtLastError(void) { return simt::t_last.code; }

const char *cudaGetErrorName(cudaError_t error) {
  for (const auto &known : simt::kErrors) {
    if (known.code == error) return known.name;
  }
  return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
  for (const auto &known : simt::kErrors) {
    if (known.code == error) return known.text;
  }
  return "unrecognized error code";
}

const char *simt_last_message(void) { return simt::t_last.message.c_str(); }
