// A step with the constants of parameter groups behind it, in one block of memory. The tests use it as well.
#pragma once
#include "vblora/vblora.h"

namespace reference {

struct AdamwStep : vbl_step {
  vbl_adamw_group group[3];
};

}  // namespace reference
