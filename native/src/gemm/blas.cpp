#include "gemm/blas.h"

#include <dlfcn.h>

#include <list>
#include <mutex>

#include "runtime/error.h"

namespace {

// Libraries stay open to the end of the process, other threads may be computing with them even during exit.
std::list<vbl_blas> &opened() {
  static std::list<vbl_blas> &all = *new std::list<vbl_blas>;
  return all;
}

}  // namespace

extern "C" vbl_status vbl_blas_open(const char *path, vbl_blas **blas) {
  return vbl::guarded([&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL_OF("vbl_blas_open", blas);
    *blas = nullptr;
    VBL_REQUIRE_NOT_NULL_OF("vbl_blas_open", path);
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return vbl::fail(VBL_IO_ERROR, "cannot load the BLAS library %s: %s", path, dlerror());
    for (vbl_blas &known : opened()) {
      if (known.library != library) continue;
      dlclose(library);  // counts down to the first opening
      *blas = &known;
      return VBL_OK;
    }
    void *sgemm = dlsym(library, "cblas_sgemm");
    if (sgemm == nullptr) {
      dlclose(library);
      return vbl::fail(VBL_IO_ERROR, "%s is not a BLAS library: it does not export cblas_sgemm", path);
    }
    if (void *set_num_threads = dlsym(library, "openblas_set_num_threads"))
      reinterpret_cast<void (*)(int)>(set_num_threads)(1);
    opened().push_back({library, reinterpret_cast<decltype(vbl_blas::sgemm)>(sgemm)});
    *blas = &opened().back();
    return VBL_OK;
  });
}
