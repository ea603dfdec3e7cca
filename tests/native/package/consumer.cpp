#include <vblora/vblora.h>

#include <cstdio>

extern "C" int32_t abi_version_seen_from_c(void);

int main() {
  std::printf("ABI version: library %d, C++ header %d, C header %d\n", vbl_abi_version(), VBL_ABI_VERSION,
              abi_version_seen_from_c());
  return vbl_abi_version() == VBL_ABI_VERSION && abi_version_seen_from_c() == VBL_ABI_VERSION ? 0 : 1;
}
