// What was measured: as a table for people, as CSV and as JSON.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "cases.h"

namespace bench {

// What was measured on, and how.
struct Setting {
  std::string device;         // as the driver names it
  std::string device_id;      // the CUDA device's number, or cpu
  std::string date;           // of the day, in UTC
  double copy_rate = 0;       // GB/s read and written by a copy within the device, before all else
  double last_copy_rate = 0;  // after all else
  int repetitions = 0;
  int64_t flush_mib = 0;
  uint64_t seed = 0;
  bool check = false;  // kernels are checked as well as timed
};

struct Row {
  Shape shape;
  std::string op, dtype, selection;
  double bytes = 0;
  bool graph = false, cold = false;
  Times times;
  Finding finding;  // where kernels are checked

  const char *status() const { return !times.supported ? "unsupported" : finding.wrong.empty() ? "ok" : "wrong"; }
  double rate() const { return times.supported ? 1e-3 * bytes / std::max(times.median, 1e-3) : 0; }  // GB/s
};

// Of the table: the lines above it, a row's, and those below it, with warnings, if wanted, where copies have become
// faster or slower and where times contain the host's.
std::string table_head(const Setting &setting);
std::string table_line(const Setting &setting, const Row &row);
std::string table_foot(const Setting &setting, const std::vector<Row> &rows, bool warnings);

std::string csv(const Setting &setting, const std::vector<Row> &rows);
std::string json(const Setting &setting, const std::vector<Row> &rows);

// printf into a string.
__attribute__((format(printf, 1, 2))) std::string format(const char *text, ...);

}  // namespace bench
