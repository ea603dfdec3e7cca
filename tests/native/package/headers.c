/* The headers are C as well. */
#include <vblora/vblora.h>

int32_t abi_version_seen_from_c(void) { return VBL_ABI_VERSION; }
