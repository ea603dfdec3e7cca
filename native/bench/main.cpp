// vblora-bench: times the kernels on the shapes of whole models, beside the device's own bandwidth.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "measure.h"
#include "ops.h"
#include "shapes.h"

namespace {

const char kHelp[] =
    R"(usage: vblora-bench [--device cuda|cuda:N|cpu] [--threads N] [--shape NAME] [--op NAME] [--repetitions N]
                    [--scale S] [--flush-mib N] [--quick] [--csv FILE]

Times every op of the admixture and of the optimizer for all sub-vectors of a model at once:
  roberta-base      72 linear layers, r 4, 90 bank vectors       llama-2-7b    all linear layers, r 4, 2048 vectors
  llama-3.2-3b-qv   q and v of 28 layers, r 4, 256 vectors       llama-2-13b   all linear layers, r 6, 2048 vectors
with vector_length 256 and topk 2, on random numbers.

  --device       default cuda, which is cuda:0
  --threads      of the CPU; default all
  --shape, --op  only this one
  --repetitions  default 50
  --scale        multiplies rows and bank vectors, down to 64 and 32
  --flush-mib    MiB read before each repetition with cold caches; default 256
  --quick        --scale 0.002 --repetitions 3 --flush-mib 1: does it run at all?
  --csv          writes the table as comma-separated values as well

Columns
  shape, op      as above; adamw_active_select has 128 active entries per row, adamw and sum_squares take the bank
  dtype          of what the op writes
  selection      the vectors that rows use: uniform; zipf (vector i in proportion to 1 / ((i + 1)(i + 2))); all-same
                 (two vectors for all); - where it makes no difference
  rows, num_vectors, vector_length, topk   the shape
  device         CUDA device's number, or cpu
  mode           eager: launched one by one; graph: replayed from a captured graph
  cache          cold: --flush-mib have been read since the last repetition; warm: nothing
  status         ok, or unsupported: the device lacks the op, and the columns below are empty
  repetitions    measured, after 3 that are not
  median_us      microseconds between two events; low_us, high_us: 10th and 90th percentile
  bytes          that must be read from and written to memory once, whatever the caches hold
  gb_per_s       bytes / median, in 10^9
  copy_gb_per_s  bytes read and written by a copy of half of --flush-mib within the device, in the same run
  fraction       gb_per_s / copy_gb_per_s; above 1 where data stayed in caches

Exit code 0; 1 if something failed; 2 for a bad option, or if there is no such device.
)";

struct Options {
  int32_t device = 0, threads = 0;
  std::string shape, op, csv;
  int repetitions = 50;
  double scale = 1;
  int64_t flush_mib = 256;
};

[[noreturn]] void refuse(const std::string &sentence) {
  std::fprintf(stderr, "vblora-bench: %s\n", sentence.c_str());
  std::exit(2);
}

double number(const char *option, const char *text, double least) {
  char *end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != 0 || !(value >= least))
    refuse(std::string(option) + " takes a number of at least " + std::to_string(least) + ", found '" + text + "'");
  return value;
}

Options parse(int count, char **arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--help" || name == "-h") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    if (name == "--quick") {
      options.scale = 0.002;
      options.repetitions = 3;
      options.flush_mib = 1;
      continue;
    }
    if (name != "--device" && name != "--threads" && name != "--shape" && name != "--op" && name != "--repetitions" &&
        name != "--scale" && name != "--flush-mib" && name != "--csv")
      refuse("unknown option '" + name + "'; --help lists them");
    if (i + 1 == count) refuse(name + " needs a value");
    const char *value = arguments[++i];
    if (name == "--device") {
      if (std::strcmp(value, "cpu") == 0) {
        options.device = VBL_DEVICE_CPU;
      } else if (std::strncmp(value, "cuda:", 5) == 0) {
        options.device = static_cast<int32_t>(number("--device cuda:", value + 5, 0));
      } else if (std::strcmp(value, "cuda") != 0) {
        refuse(std::string("--device is cuda, cuda:N or cpu, found '") + value + "'");
      }
    }
    if (name == "--threads") options.threads = static_cast<int32_t>(number("--threads", value, 1));
    if (name == "--shape") options.shape = value;
    if (name == "--op") options.op = value;
    if (name == "--csv") options.csv = value;
    if (name == "--repetitions") options.repetitions = static_cast<int>(number("--repetitions", value, 1));
    if (name == "--scale") options.scale = number("--scale", value, 1e-6);
    if (name == "--flush-mib") options.flush_mib = static_cast<int64_t>(number("--flush-mib", value, 1));
  }
  return options;
}

struct Mode {
  bool graph, cold;
};

// Prints the table and keeps it as CSV.
class Report {
 public:
  Report(const Options &options, double copy) : options_(options), copy_(copy) {
    std::printf("copy within the device: %.1f GB/s read and written\n\n", copy);
    std::printf("%-16s %-20s %-9s %-9s %-6s %-5s %11s %11s %11s %10s %9s\n", "shape", "op", "dtype", "selection",
                "mode", "cache", "median us", "10 %", "90 %", "GB/s", "of copy");
  }
  void add(const bench::Shape &shape, const bench::Case &c, Mode mode, const bench::Times &times) {
    const char *mode_name = mode.graph ? "graph" : "eager", *cache = mode.cold ? "cold" : "warm";
    const double rate = times.supported ? 1e-3 * c.bytes / times.median : 0;
    const std::string device = options_.device == VBL_DEVICE_CPU ? "cpu" : std::to_string(options_.device);
    std::printf("%-16s %-20s %-9s %-9s %-6s %-5s ", shape.name, c.op.c_str(), c.dtype.c_str(), c.selection.c_str(),
                mode_name, cache);
    if (times.supported) {
      std::printf("%11.2f %11.2f %11.2f %10.1f %9.3f\n", times.median, times.low, times.high, rate, rate / copy_);
    } else {
      std::printf("%11s\n", "unsupported");
    }
    char line[512];
    std::snprintf(line, sizeof line, "%s,%s,%s,%s,%lld,%d,%d,%d,%s,%s,%s,", shape.name, c.op.c_str(), c.dtype.c_str(),
                  c.selection.c_str(), static_cast<long long>(shape.rows), shape.num_vectors, shape.vector_length,
                  shape.topk, device.c_str(), mode_name, cache);
    csv_ += line;
    if (times.supported) {
      std::snprintf(line, sizeof line, "ok,%d,%.3f,%.3f,%.3f,%.0f,%.3f,%.3f,%.4f\n", options_.repetitions, times.median,
                    times.low, times.high, c.bytes, rate, copy_, rate / copy_);
      csv_ += line;
    } else {
      csv_ += "unsupported,,,,,,,,\n";
    }
  }

  // Writes the CSV where one is wanted; false if that fails.
  bool write_csv() const {
    if (options_.csv.empty()) return true;
    std::FILE *file = std::fopen(options_.csv.c_str(), "w");
    if (file == nullptr) return false;
    const bool written = std::fwrite(csv_.data(), 1, csv_.size(), file) == csv_.size();
    return std::fclose(file) == 0 && written;
  }

 private:
  const Options &options_;
  double copy_;
  std::string csv_ =
      "shape,op,dtype,selection,rows,num_vectors,vector_length,topk,device,mode,cache,status,repetitions,median_us,"
      "low_us,high_us,bytes,gb_per_s,copy_gb_per_s,fraction\n";
};

}  // namespace

int main(int count, char **arguments) {
  const Options options = parse(count, arguments);
  vbl_stream *stream = nullptr;
  const vbl_status created = vbl_stream_create(options.device, options.threads, &stream);
  if (created == VBL_NO_DEVICE)
    refuse(std::string("there is no such device (") + vbl_last_error() + "); --device cpu measures the CPU");
  bench::require(created, "vbl_stream_create");
  const bool cuda = options.device != VBL_DEVICE_CPU;
  bool any = false, written = true;
  {
    bench::Timer timer(stream, options.repetitions, options.flush_mib << 20);
    Report report(options, timer.copy_bandwidth());
    for (const bench::Shape &shape : bench::shapes(options.scale)) {
      if (!options.shape.empty() && options.shape != shape.name) continue;
      const bench::Cases cases(stream, shape);
      for (const bench::Case &c : cases.all()) {
        if (!options.op.empty() && options.op != c.op) continue;
        any = true;
        for (const bool graph : {false, true}) {
          if (graph && !cuda) continue;
          for (const bool cold : {true, false}) report.add(shape, c, {graph, cold}, timer.measure(c.run, graph, cold));
        }
      }
    }
    written = any && report.write_csv();
  }
  vbl_stream_destroy(stream);
  if (!any) refuse("no such --shape or --op; --help lists the shapes");
  if (!written) {
    std::fprintf(stderr, "vblora-bench: %s could not be written\n", options.csv.c_str());
    return 1;
  }
  return 0;
}
