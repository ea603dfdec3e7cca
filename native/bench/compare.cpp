#include "compare.h"

#include <cmath>
#include <cstdio>

namespace bench {

void Comparison::near(const char *array, int64_t at, double found, double exact, double magnitude) {
  const double difference = std::fabs(found - exact);
  const double error = difference == 0 ? 0 : difference / magnitude;  // infinite where it must be exact
  if (error > finding_.error || std::isnan(error)) finding_.error = std::isnan(error) ? INFINITY : error;
  if (!(error <= finding_.bound)) differs(array, at, found, exact);
}

void Comparison::differs(const char *array, int64_t at, double found, double expected) {
  if (different_ > 0) return wrong("");
  char text[160];
  std::snprintf(text, sizeof text, "%s[%lld] is %.9g, expected %.9g", array, static_cast<long long>(at), found,
                expected);
  wrong(text);
}

void Comparison::changed(const char *array, int64_t at) {
  wrong(std::string("input ") + array + " was changed, at byte " + std::to_string(at));
}

void Comparison::wrong(const std::string &text) {
  if (different_++ == 0) finding_.wrong = text;
}

Finding Comparison::finding() const {
  Finding finding = finding_;
  if (different_ > 1) finding.wrong += ", the first of " + std::to_string(different_);
  return finding;
}

}  // namespace bench
