// The ops that are timed, on the arrays of one shape.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "measure.h"
#include "shapes.h"

namespace bench {

struct Case {
  std::string op, dtype, selection;
  double bytes;  // what has to be read from and written to memory, once
  Op run;
};

// Cases with the memory they work on.
class Cases {
 public:
  Cases(vbl_stream *stream, const Shape &shape);
  ~Cases();
  const std::vector<Case> &all() const { return cases_; }

 private:
  struct Arrays;
  std::unique_ptr<Arrays> arrays_;
  std::vector<Case> cases_;
};

}  // namespace bench
