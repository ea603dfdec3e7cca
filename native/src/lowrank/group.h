// A group of low-rank branches on the CPU.
#pragma once
#include "lowrank/lowrank.h"
#include "lowrank/lowrank.simd.h"
#include "runtime/stream.h"

namespace vbl {

// A member's branch, keyed, and its matrices as float32.
struct LowrankMember {
  LowrankBranch branch;
  const float *a, *bt, *dy;
  float *p, *y, *q, *da, *dbt;

  const Dropout *dropout() const { return branch.drops ? &branch.dropout : nullptr; }
};

struct LowrankGroup {
  int32_t members;
  int64_t widest;  // out_features of a member at most
  LowrankMember member[VBL_LOWRANK_MEMBERS];

  // Tokens of a task, which takes one member after the other.
  int64_t tokens_per_task() const {
    const int64_t rows = rows_per_task(member[0].branch.in + widest, kLowrankTask);
    return (rows + kLowrankTokens - 1) / kLowrankTokens * kLowrankTokens;
  }

  const LowrankMember *begin() const { return member; }
  const LowrankMember *end() const { return member + members; }
};

inline LowrankGroup lowrank_group(const vbl_lowrank &lowrank, const vbl_step *step,
                                  const vbl_lowrank_matrices *matrices) {
  LowrankGroup group{};
  group.members = lowrank.members;
  for (int32_t m = 0; m < lowrank.members; ++m) {
    LowrankMember &member = group.member[m];
    const vbl_lowrank_matrices &of = matrices[m];
    member.branch = lowrank_branch(lowrank, m);
    if (member.branch.drops) set_key(member.branch.dropout, *step);
    member.a = static_cast<const float *>(of.a);
    member.bt = static_cast<const float *>(of.bt);
    member.dy = static_cast<const float *>(of.dy);
    member.p = of.reduced;
    member.y = static_cast<float *>(of.y);
    member.q = of.dreduced;
    member.da = of.da;
    member.dbt = of.dbt;
    if (member.branch.out > group.widest) group.widest = member.branch.out;
  }
  return group;
}

}  // namespace vbl
