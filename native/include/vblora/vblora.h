/* All families of the vblora C ABI. */
#ifndef VBLORA_VBLORA_H
#define VBLORA_VBLORA_H

#include "vblora/active_set.h"
#include "vblora/admixture.h"
#include "vblora/common.h"
#include "vblora/gemm.h"
#include "vblora/lowrank.h"
#include "vblora/optimizer.h"
#include "vblora/runtime.h"
#include "vblora/step.h"
#include "vblora/transformer.h"

#endif
