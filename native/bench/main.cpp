// vblora-bench: checks the kernels against float64, and times them beside the device's own bandwidth.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "cases.h"
#include "report.h"
#include "roofline.h"

namespace {

const char kHelp[] =
    R"(usage: vblora-bench [--check] [--device cuda|cuda:N|cpu] [--threads N] [--shape NAME] [--op NAME] [--seed N]
                    [--repetitions N] [--scale S] [--flush-mib N] [--quick] [--json] [--csv FILE] [--svg FILE]

Times what a training step of the admixture consists of, for all sub-vectors of a model at once, and the low-rank
products of one of its layers on 2048 tokens:
  roberta-base      72 linear layers, r 4, 90 bank vectors       llama-2-7b    all linear layers, r 4, 2048 vectors
  llama-3.2-3b-qv   q and v of 28 layers, r 4, 256 vectors       llama-2-13b   all linear layers, r 6, 2048 vectors
with vector_length 256 and topk 2, on random numbers. With --check, all kernels on other shapes instead, merging and
dropout's masks as well:
  aligned           a quarter of llama-2-7b                      few-rows      one layer of llama-2-7b
  unaligned         arrays off their boundaries, no power of two in the shape
  large-topk        40 of 2048 bank vectors, more than a warp selects
  topk-1, topk-2-unaligned, topk-17, topk-33, few-rows-topk-1, few-rows-topk-4, few-rows-topk-8
                    the kernels' other paths, on small shapes: many short rows, or few long ones
each on random input, its outputs filled with what cannot be a result and guard zones around every array; what it wrote
is compared with float64 arithmetic on the CPU, and what it only reads with what that was.

  --check        checks as well as times
  --device       default cuda, which is cuda:0
  --threads      of the CPU; default all
  --shape, --op  only this one
  --seed         of the random input; default 1, with --check another one every time
  --repetitions  default 50, with --check 20
  --scale        multiplies rows and bank vectors of the models, tokens and features of the layer, down to 64, 32, 8
                 and 64
  --flush-mib    MiB read before each repetition with cold caches; default 256, or four times the L2 cache
  --quick        small shapes, --repetitions 1 --flush-mib 1: does it run at all?
  --json         prints JSON in place of the table
  --csv          writes the table as comma-separated values as well
  --svg          draws how near to the device's bandwidth each op comes; not with --check

Columns
  shape, op      as above; adamw_select and adamw_active_select have up to 128 active entries per row, anywhere in it,
                 the same before each repetition, the selected ones among them; adamw and sum_squares take the bank;
                 lowrank_*: one layer, 768 to 3072 features, 3072 to 3072, 4096 to 11008 or 5120 to 13824;
                 silu_mul_*: the layer's out features, of gate and up each;
                 launch: what launching a kernel takes the host, on CUDA, timed by the host's clock
  dtype          of what the op writes
  selection      the vectors that rows use: uniform; zipf (vector i in proportion to 1 / ((i + 1)(i + 2))); all-same
                 (the same vectors for all); conv1d: weights are [in, out]. Of adamw_active_select: - its best case, a
                 step that activates no entry; joining: one row in 8 activates one, and one in 64 is scanned for new
                 candidates as well. Of lowrank_forward and lowrank_backward: - one layer; pair: two that read the
                 same x. Of others - where nothing is to be chosen
  rows, num_vectors, vector_length, topk   the shape
  device         CUDA device's number, or cpu
  mode           eager: launched one by one; graph: replayed from a captured graph; on CUDA both behind other work,
                 so that what the host takes to launch is not in the times, but in those of launch alone
  cache          cold: --flush-mib have been read since the last repetition; warm: nothing but what the op had changed
                 has been made anew
  status         ok; unsupported: the device lacks the op, and the columns below are empty; with --check: wrong
  repetitions    measured, after up to 3 that are not
  median_us      microseconds between two events; low_us, high_us: 10th and 90th percentile. A line below the table
                 counts the rows, if any, in which a CUDA device did wait for the host (not with --quick)
  bytes          that must be read from and written to memory once for this input, whatever the caches hold and
                 whatever the device does beyond that: bank vectors that are used at all; of logits and moments in
                 adamw_select all read, and written the sectors of 32 bytes in which a bit changes; sectors also where
                 single elements lie scattered: logits of candidates, active entries in active_store's logits
  gb_per_s       bytes / median, in 10^9
  copy_gb_per_s  bytes read and written by a copy within the device, in the same run: of 1 GiB on CUDA, or what there
                 is room for, after half a second of copying; of half of --flush-mib on the CPU and with --quick. It
                 is measured again at the end, with a warning (not with --quick) if that differs by more than 3 %
  fraction       gb_per_s / copy_gb_per_s; above 1 where data stayed in caches
  error          with --check: the greatest difference from float64, as a share of what the op has to round: of the
                 result where that is rounded once, of all intermediate results where float32 is computed with
  bound          with --check: what error may be at most; bound_from: why
  finding        with --check: what is wrong

Exit code 0; 1 if something failed or is wrong; 2 for a bad option, or if there is no such device.
)";

struct Options {
  bool check = false, json = false, quick = false;
  int32_t device = 0, threads = 0;
  std::string shape, op, csv, svg;
  uint64_t seed = 0;
  int repetitions = 0;
  double scale = 1;
  int64_t flush_mib = 0;
};

[[noreturn]] void refuse(const std::string &sentence) {
  std::fprintf(stderr, "vblora-bench: %s\n", sentence.c_str());
  std::exit(2);
}

double number(const char *option, const char *text, double least, double most) {
  char *end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != 0 || !(value >= least && value <= most))
    refuse(bench::format("%s takes a number from %g to %g, found '%s'", option, least, most, text));
  return value;
}

// From least on, which is not negative.
template <typename T>
T whole_number(const char *option, const char *text, T least, T most) {
  char *end = nullptr;
  const unsigned long long value = std::strtoull(text, &end, 10), low = least, high = most;
  if (end == text || *end != 0 || *text == '-' || value < low || value > high)
    refuse(bench::format("%s takes a whole number from %llu to %llu, found '%s'", option, low, high, text));
  return static_cast<T>(value);
}

// A file that is to be written once all is measured: what cannot be written then is refused now.
std::string output(const char *option, const char *path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(std::filesystem::absolute(path, ignored).parent_path(), ignored) ||
      std::filesystem::is_directory(path, ignored))
    refuse(bench::format("%s: found '%s'; expected a file in a folder that is there", option, path));
  return path;
}

Options parse(int count, char **arguments) {
  Options options;
  bool seeded = false;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--help" || name == "-h") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    bool *const flag = name == "--check"   ? &options.check
                       : name == "--json"  ? &options.json
                       : name == "--quick" ? &options.quick
                                           : nullptr;
    if (flag != nullptr) {
      *flag = true;
      continue;
    }
    if (name != "--device" && name != "--threads" && name != "--shape" && name != "--op" && name != "--seed" &&
        name != "--repetitions" && name != "--scale" && name != "--flush-mib" && name != "--csv" && name != "--svg")
      refuse("unknown option '" + name + "'; --help lists them");
    if (i + 1 == count) refuse(name + " needs a value");
    const char *value = arguments[++i];
    if (name == "--device") {
      if (std::strcmp(value, "cpu") == 0) {
        options.device = VBL_DEVICE_CPU;
      } else if (std::strncmp(value, "cuda:", 5) == 0) {
        options.device = whole_number("--device cuda:", value + 5, 0, 9999);
      } else if (std::strcmp(value, "cuda") != 0) {
        refuse(std::string("--device is cuda, cuda:N or cpu, found '") + value + "'");
      }
    }
    if (name == "--threads") options.threads = whole_number("--threads", value, 1, 9999);
    if (name == "--shape") options.shape = value;
    if (name == "--op") options.op = value;
    if (name == "--csv") options.csv = output("--csv", value);
    if (name == "--svg") options.svg = output("--svg", value);
    if (name == "--seed") options.seed = whole_number<uint64_t>("--seed", value, 0, UINT64_MAX), seeded = true;
    if (name == "--repetitions") options.repetitions = whole_number("--repetitions", value, 1, 1000000);
    if (name == "--scale") options.scale = number("--scale", value, 1e-6, 100);
    if (name == "--flush-mib") options.flush_mib = whole_number("--flush-mib", value, 1, 1000000);
  }
  if (options.check && !options.svg.empty()) refuse("--svg means nothing with --check");
  if (options.quick) {
    options.scale = 0.002;
    if (options.flush_mib == 0) options.flush_mib = 1;
  }
  if (options.repetitions == 0) options.repetitions = options.quick ? 1 : options.check ? 20 : 50;
  if (!seeded) options.seed = options.check ? std::random_device()() : 1;
  return options;
}

// Enough to push everything else out of the caches.
int64_t flush_mib(int32_t device) {
  vbl_cuda_properties cuda = {};
  if (device != VBL_DEVICE_CPU) bench::require(vbl_cuda_device_properties(device, &cuda), "vbl_cuda_device_properties");
  return std::max<int64_t>(256, 4 * cuda.l2_bytes >> 20);
}

// On CUDA a copy between two arrays of 1 GiB, and half a millisecond of kernels before what is timed.
bench::Effort effort_of(const Options &options) {
  const int64_t flush_bytes = options.flush_mib << 20;
  if (options.quick) return {options.repetitions, flush_bytes, flush_bytes, 0, 2};
  const bool cuda = options.device != VBL_DEVICE_CPU;
  return {options.repetitions, flush_bytes, cuda ? std::max(int64_t{2} << 30, flush_bytes) : flush_bytes, 0.5, 200};
}

bench::Setting setting_of(const Options &options, vbl_stream *stream, double copy_rate) {
  bench::Setting setting;
  if (options.device == VBL_DEVICE_CPU) {
    setting.device = bench::format("CPU, %s, %d threads", vbl_cpu_isa(), vbl_stream_threads(stream));
    setting.device_id = "cpu";
  } else {
    vbl_cuda_properties cuda;
    bench::require(vbl_cuda_device_properties(options.device, &cuda), "vbl_cuda_device_properties");
    setting.device = bench::format("%s (compute capability %d.%d; kernels compiled for %s)", cuda.name, cuda.major,
                                   cuda.minor, vbl_cuda_architectures());
    setting.device_id = std::to_string(options.device);
  }
  const std::time_t now = std::time(nullptr);
  char date[16];
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  setting.date = date;
  setting.copy_rate = setting.last_copy_rate = copy_rate;
  setting.repetitions = options.repetitions;
  setting.flush_mib = options.flush_mib;
  setting.seed = options.seed;
  setting.check = options.check;
  return setting;
}

constexpr auto kFamilies = {bench::admixture_cases, bench::logits_cases,  bench::adamw_cases,
                            bench::lowrank_cases,   bench::convert_cases, bench::transformer_cases};

// Refuses a --shape or --op that the table does not have, before anything is measured.
void check_names(const Options &options, vbl_stream *stream) {
  std::set<std::string> shapes, ops;
  if (options.device != VBL_DEVICE_CPU && !options.check) ops.insert("launch");
  bench::Random random(0);
  for (const bench::Shape &shape : options.check ? bench::checked_shapes(true) : bench::shapes(0)) {
    const bool first = shapes.empty();
    shapes.insert(shape.name);
    if (options.op.empty() || !first) continue;  // all have the same ops
    for (const auto &family : kFamilies) {
      const std::unique_ptr<bench::Cases> cases = family(stream, shape, random);
      for (const bench::Case &c : cases->all()) {
        if (options.check || c.every_step) ops.insert(c.op);
      }
    }
  }
  const auto check = [](const char *option, const std::string &found, const std::set<std::string> &known) {
    if (found.empty() || known.count(found) != 0) return;
    std::string names;
    for (const std::string &name : known) names += (names.empty() ? "" : ", ") + name;
    refuse(bench::format("%s: found '%s'; expected one of %s", option, found.c_str(), names.c_str()));
  };
  check("--shape", options.shape, shapes);
  check("--op", options.op, ops);
  if (options.op == "launch" && !options.shape.empty()) refuse("--op launch has no --shape");
}

// Runs what the options ask for, and prints the table on the way.
class Run {
 public:
  Run(const Options &options, vbl_stream *stream)
      : options_(options), stream_(stream), timer_(stream, effort_of(options)),
        random_(static_cast<bench::Random::result_type>(options.seed)),
        setting_(setting_of(options, stream, timer_.copy_bandwidth())) {
    if (!options.json) std::fputs(bench::table_head(setting_).c_str(), stdout);
  }

  void all() {
    if (cuda() && !options_.check && options_.shape.empty() && wanted("launch")) launches();
    const std::vector<bench::Shape> shapes =
        options_.check ? bench::checked_shapes(options_.quick) : bench::shapes(options_.scale);
    for (const bench::Shape &shape : shapes) {
      if (!options_.shape.empty() && options_.shape != shape.name) continue;
      for (const auto &family : kFamilies) {
        const std::unique_ptr<bench::Cases> cases = family(stream_, shape, random_);
        for (const bench::Case &c : cases->all()) {
          if (!wanted(c.op)) continue;
          bench::doing(bench::format("%s (%s, %s)", c.op.c_str(), shape.name, c.dtype.c_str()));
          if (options_.check) {
            check(shape, c, *cases);
          } else if (c.every_step) {
            time(shape, c);
          }
          bench::doing("");
        }
      }
    }
    setting_.last_copy_rate = timer_.copy_bandwidth();
    if (!options_.json) std::fputs(bench::table_foot(setting_, rows_, !options_.quick).c_str(), stdout);
  }

  const bench::Setting &setting() const { return setting_; }
  const std::vector<bench::Row> &rows() const { return rows_; }

 private:
  bool wanted(const std::string &op) const { return options_.op.empty() || options_.op == op; }
  bool cuda() const { return options_.device != VBL_DEVICE_CPU; }

  void add(bench::Row row) {
    if (!options_.json) std::fputs(bench::table_line(setting_, row).c_str(), stdout);
    rows_.push_back(std::move(row));
  }

  void launches() {
    const bench::Shape one = {{1, 1, 1, 1}, "-", 0, {}};
    for (const bool graph : {false, true})
      add({one, "launch", "bfloat16", "-", 6, graph, false, timer_.launch(graph), {}});
  }

  void time(const bench::Shape &shape, const bench::Case &c) {
    for (const bool graph : {false, true}) {
      if (graph && !cuda()) continue;
      for (const bool cold : {true, false})
        add({shape,
             c.op,
             c.dtype,
             c.selection,
             c.bytes,
             graph,
             cold,
             timer_.measure(c.run, graph, cold, c.prepare),
             {}});
    }
  }

  void check(const bench::Shape &shape, const bench::Case &c, bench::Cases &cases) {
    const bool cold = !options_.quick;  // to flush the caches takes longer than all else then
    bench::Row row = {shape, c.op, c.dtype, c.selection, c.bytes, false, cold, {}, {}};
    if (c.prepare) bench::require(c.prepare(), "an op's input");
    row.finding = c.check();  // before the op first runs: it might spoil inputs that all later runs find spoilt
    row.times = timer_.measure(c.run, false, cold, c.prepare);
    const std::string overrun = cases.overrun();
    if (!overrun.empty())
      row.finding.wrong += (row.finding.wrong.empty() ? "" : "; ") + ("something was written beside " + overrun);
    add(std::move(row));
  }

  const Options &options_;
  vbl_stream *stream_;
  bench::Timer timer_;
  bench::Random random_;
  bench::Setting setting_;
  std::vector<bench::Row> rows_;
};

// Writes a text where one is wanted, whole or not at all; false, with a sentence, if that fails.
bool write(const std::string &path, const std::string &text) {
  if (path.empty()) return true;
  std::error_code ignored;
  // /dev/stdout, for instance, is written to as it stands.
  const bool replaced = !std::filesystem::exists(path, ignored) || std::filesystem::is_regular_file(path, ignored);
  const std::string name = replaced ? path + ".part" : path;
  std::FILE *file = std::fopen(name.c_str(), "w");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (replaced) written = written && std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  written = file != nullptr && std::fclose(file) == 0 && written;
  if (replaced) written = written && std::rename(name.c_str(), path.c_str()) == 0;
  if (replaced && !written) std::remove(name.c_str());
  if (!written) std::fprintf(stderr, "vblora-bench: %s could not be written\n", path.c_str());
  return written;
}

// Says how many checks failed, or below a table that none did; whether none did.
bool all_right(const std::vector<bench::Row> &rows, bool table) {
  size_t wrong = 0, checked = 0;
  const bench::Row *first = nullptr;
  for (const bench::Row &row : rows) {
    checked += row.times.supported;
    if (row.finding.wrong.empty()) continue;
    if (wrong++ == 0) first = &row;
  }
  if (wrong == 0) {
    if (table) std::printf("\nall %zu checks passed\n", checked);
    return true;
  }
  std::fprintf(stderr, "vblora-bench: %zu of %zu checks failed, first that of %s (%s, %s): %s\n", wrong, rows.size(),
               first->op.c_str(), first->shape.name, first->dtype.c_str(), first->finding.wrong.c_str());
  return false;
}

}  // namespace

int main(int count, char **arguments) {
  Options options = parse(count, arguments);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // into a pipe, too: a line when it is measured
  vbl_stream *stream = nullptr;
  const vbl_status created = vbl_stream_create(options.device, options.threads, &stream);
  if (created == VBL_NO_DEVICE)
    refuse(
        bench::format("There is no device cuda:%d (%s); --device cpu takes the CPU", options.device, vbl_last_error()));
  bench::require(created, "vbl_stream_create");
  check_names(options, stream);
  if (options.flush_mib == 0) options.flush_mib = flush_mib(options.device);
  bool done = false;
  {
    Run run(options, stream);
    run.all();
    if (options.json) std::fputs(bench::json(run.setting(), run.rows()).c_str(), stdout);
    done = write(options.csv, bench::csv(run.setting(), run.rows()));
    done = write(options.svg, options.svg.empty() ? "" : bench::roofline(run.setting(), run.rows())) && done;
    done = all_right(run.rows(), options.check && !options.json) && done;
  }
  vbl_stream_destroy(stream);
  return done ? 0 : 1;
}
