// What an op has written, held against what it should have.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

struct Finding {
  double error = 0;      // the greatest |found - exact| as a share of the number's magnitude
  double bound = 0;      // what it may be at most
  const char *why = "";  // where the bound comes from
  std::string wrong;     // what is wrong, in words; empty if nothing is
};

class Comparison {
 public:
  Comparison(double bound, const char *why) {
    finding_.bound = bound;
    finding_.why = why;
  }
  // One number. magnitude: what its error is a share of; 0 where it must be exact.
  void near(const char *array, int64_t at, double found, double exact, double magnitude);
  // A whole array of integers.
  template <typename T>
  void equal(const char *array, const std::vector<T> &found, const std::vector<T> &expected) {
    for (size_t i = 0; i < expected.size(); ++i) {
      if (found[i] != expected[i])
        differs(array, static_cast<int64_t>(i), static_cast<double>(found[i]), static_cast<double>(expected[i]));
    }
  }
  // An array that was not to change, from this byte on.
  void changed(const char *array, int64_t at);
  // The outcome, with a sentence on the first of the numbers that are wrong.
  double bound() const { return finding_.bound; }
  Finding finding() const;

 private:
  void differs(const char *array, int64_t at, double found, double expected);
  void wrong(const std::string &text);

  Finding finding_;
  int64_t different_ = 0;
};

}  // namespace bench
