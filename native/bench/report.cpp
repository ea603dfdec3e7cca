#include "report.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace bench {
namespace {

// A text within quotes of JSON.
std::string escaped(const std::string &text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += format("\\u%04x", c);
    } else {
      result += c;
    }
  }
  return result;
}

std::string number(double value) { return std::isfinite(value) ? format("%.9g", value) : "null"; }

}  // namespace

std::string format(const char *text, ...) {
  va_list arguments, again;
  va_start(arguments, text);
  va_copy(again, arguments);
  std::string result(static_cast<size_t>(std::vsnprintf(nullptr, 0, text, arguments)), '\0');
  std::vsnprintf(&result[0], result.size() + 1, text, again);
  va_end(again);
  va_end(arguments);
  return result;
}

std::string table_head(const Setting &setting) {
  std::string head =
      setting.device + ", copy within the device: " + format("%.1f GB/s read and written\n", setting.copy_rate);
  head += format("random input of seed %llu\n\n", static_cast<unsigned long long>(setting.seed));
  if (setting.check) {
    head += format("%-16s %-21s %-9s %-9s %-8s %-8s %-19s %10s %12s %8s %8s  %s\n", "shape", "op", "dtype", "selection",
                   "error", "bound", "bound from", "median us", "bytes", "GB/s", "of copy", "result");
  } else {
    head += format("%-16s %-20s %-9s %-9s %-6s %-5s %11s %11s %11s %12s %10s %9s\n", "shape", "op", "dtype",
                   "selection", "mode", "cache", "median us", "10 %", "90 %", "bytes", "GB/s", "of copy");
  }
  return head;
}

std::string table_line(const Setting &setting, const Row &row) {
  const char *op = row.op.c_str(), *dtype = row.dtype.c_str(), *selection = row.selection.c_str();
  const double fraction = row.rate() / setting.copy_rate;
  if (setting.check) {
    std::string line = format("%-16s %-21s %-9s %-9s ", row.shape.name, op, dtype, selection);
    if (!row.times.supported)
      return line + format("%-8s %-8s %-19s %10s %12s %8s %8s  %s\n", "", "", "", "", "", "", "", row.status());
    const Finding &f = row.finding;
    line += format("%-8.1e %-8.1e %-19s %10.2f %12.0f %8.1f %8.3f  %s", f.error, f.bound, f.why, row.times.median,
                   row.bytes, row.rate(), fraction, row.status());
    return line + (f.wrong.empty() ? "\n" : ": " + f.wrong + "\n");
  }
  const std::string line = format("%-16s %-20s %-9s %-9s %-6s %-5s ", row.shape.name, op, dtype, selection,
                                  row.graph ? "graph" : "eager", row.cold ? "cold" : "warm");
  if (!row.times.supported) return line + format("%11s\n", row.status());
  return line + format("%11.2f %11.2f %11.2f %12.0f %10.1f %9.3f\n", row.times.median, row.times.low, row.times.high,
                       row.bytes, row.rate(), fraction);
}

std::string table_foot(const Setting &setting, const std::vector<Row> &rows, bool warnings) {
  const double change = 100 * (setting.last_copy_rate / setting.copy_rate - 1);
  std::string foot =
      format("\ncopy within the device, at the end: %.1f GB/s read and written\n", setting.last_copy_rate);
  if (!warnings) return foot;
  if (std::fabs(change) > 3)
    foot += format(
        "warning: that is %.0f %% %s than at the beginning: the device's clocks or its other work have "
        "changed meanwhile, and times are off by as much\n",
        std::fabs(change), change > 0 ? "more" : "less");
  const auto waited = std::count_if(rows.begin(), rows.end(), [](const Row &row) { return row.times.waited; });
  if (waited > 0)
    foot += format("warning: in %d of %d rows the device waited for the host to submit what was timed\n",
                   static_cast<int>(waited), static_cast<int>(rows.size()));
  return foot;
}

std::string csv(const Setting &setting, const std::vector<Row> &rows) {
  std::string text =
      "shape,op,dtype,selection,rows,num_vectors,vector_length,topk,device,mode,cache,status,repetitions,median_us,"
      "low_us,high_us,bytes,gb_per_s,copy_gb_per_s,fraction,error,bound,bound_from,finding\n";
  for (const Row &row : rows) {
    text += format("%s,%s,%s,%s,%lld,%d,%d,%d,%s,%s,%s,%s,", row.shape.name, row.op.c_str(), row.dtype.c_str(),
                   row.selection.c_str(), static_cast<long long>(row.shape.rows), row.shape.num_vectors,
                   row.shape.vector_length, row.shape.topk, setting.device_id.c_str(), row.graph ? "graph" : "eager",
                   row.cold ? "cold" : "warm", row.status());
    if (row.times.supported) {
      text += format("%d,%.3f,%.3f,%.3f,%.0f,%.3f,%.3f,%.4f,", setting.repetitions, row.times.median, row.times.low,
                     row.times.high, row.bytes, row.rate(), setting.copy_rate, row.rate() / setting.copy_rate);
    } else {
      text += ",,,,,,,,";
    }
    if (setting.check && row.times.supported) {
      text += format("%.3e,%.3e,\"%s\",\"%s\"\n", row.finding.error, row.finding.bound, row.finding.why,
                     row.finding.wrong.c_str());
    } else {
      text += ",,,\n";
    }
  }
  return text;
}

std::string json(const Setting &setting, const std::vector<Row> &rows) {
  bool ok = true;
  for (const Row &row : rows) ok = ok && row.finding.wrong.empty();
  std::string text = format("{\"device\": \"%s\", \"device_id\": \"%s\", \"date\": \"%s\", ",
                            escaped(setting.device).c_str(), setting.device_id.c_str(), setting.date.c_str());
  text += format("\"copy_gb_per_s\": %s, \"last_copy_gb_per_s\": %s, ", number(setting.copy_rate).c_str(),
                 number(setting.last_copy_rate).c_str());
  text += format("\"repetitions\": %d, \"flush_mib\": %lld, \"seed\": %llu, ", setting.repetitions,
                 static_cast<long long>(setting.flush_mib), static_cast<unsigned long long>(setting.seed));
  if (setting.check) text += format("\"ok\": %s, ", ok ? "true" : "false");
  text += "\"kernels\": [";
  const char *separator = "\n  ";
  for (const Row &row : rows) {
    text += separator;
    separator = ",\n  ";
    text += format("{\"shape\": \"%s\", \"op\": \"%s\", \"dtype\": \"%s\", \"selection\": \"%s\", ", row.shape.name,
                   row.op.c_str(), row.dtype.c_str(), row.selection.c_str());
    text +=
        format("\"rows\": %lld, \"num_vectors\": %d, \"vector_length\": %d, \"topk\": %d, ",
               static_cast<long long>(row.shape.rows), row.shape.num_vectors, row.shape.vector_length, row.shape.topk);
    text += format("\"mode\": \"%s\", \"cache\": \"%s\", \"status\": \"%s\"", row.graph ? "graph" : "eager",
                   row.cold ? "cold" : "warm", row.status());
    if (row.times.supported) {
      text += format(
          ", \"median_us\": %s, \"low_us\": %s, \"high_us\": %s, \"bytes\": %.0f, \"gb_per_s\": %s, "
          "\"fraction\": %s",
          number(row.times.median).c_str(), number(row.times.low).c_str(), number(row.times.high).c_str(), row.bytes,
          number(row.rate()).c_str(), number(row.rate() / setting.copy_rate).c_str());
      if (setting.check)
        text += format(", \"error\": %s, \"bound\": %s, \"bound_from\": \"%s\", \"finding\": \"%s\"",
                       number(row.finding.error).c_str(), number(row.finding.bound).c_str(), row.finding.why,
                       escaped(row.finding.wrong).c_str());
    }
    text += "}";
  }
  return text + "\n]}\n";
}

}  // namespace bench
