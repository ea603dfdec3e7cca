// libcublasLt as programs linked against it need it to start: handles and versions. It computes nothing.
#include <cstddef>
#include <new>

#include "cublas_v2.h"

extern "C" {

struct cublasLtContext {};
typedef cublasLtContext *cublasLtHandle_t;

SIMT_API cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *handle = new (std::nothrow) cublasLtContext;
  return *handle == nullptr ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_SUCCESS;
}

SIMT_API cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

SIMT_API const char *cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "failure";
}

SIMT_API size_t cublasLtGetVersion(void) { return 130000; }
SIMT_API size_t cublasLtGetCudartVersion(void) { return CUDART_VERSION; }

}  // extern "C"
