// A group of low-rank branches on the CPU.
#pragma once
#include "lowrank/lowrank.h"

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
  int64_t width;  // of all members' rows of y
  LowrankMember member[VBL_LOWRANK_MEMBERS];

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
    member.p = of.p;
    member.y = static_cast<float *>(of.y);
    member.q = of.q;
    member.da = of.da;
    member.dbt = of.dbt;
    group.width += member.branch.out;
  }
  return group;
}

}  // namespace vbl
