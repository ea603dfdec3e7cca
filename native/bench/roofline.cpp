#include "roofline.h"

#include <algorithm>
#include <cmath>

namespace bench {
namespace {

// A panel, in pixels: names end where bars begin; behind the bars stand the times.
constexpr int kNames = 214, kBars = 270, kTimes = 136, kPanel = kNames + kBars + kTimes, kMargin = 24;
constexpr int kLine = 19, kPanelHead = 64, kPanelFoot = 34, kHead = 96, kFoot = 44;
// The roof stands here among the bars; what caches lift above it has the rest.
constexpr double kRoof = kBars / 1.25;
constexpr double kLeastBytes = 1024;  // of an op that has to do with memory

const char kStyle[] = R"(<style>
  .paper { fill: #ffffff } text { fill: #1d2430; font: 12.5px system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
  .title { font-size: 20px; font-weight: 600 } .panel { font-size: 14.5px; font-weight: 600 } .tick { font-size: 11px }
  .soft { fill: #5b6675 } .grid { stroke: #dfe4ea } .bar { fill: #3a76b8 } .lifted { fill: #2b9a83 }
  .over { font-size: 11px; fill: #ffffff } .roof { stroke: #c2480f; stroke-width: 1.6 } .roof-name { fill: #c2480f }
  .spread { stroke: #1d2430; stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #161b22 } text { fill: #e4e9f0 } .soft { fill: #9aa6b5 } .grid { stroke: #303844 }
    .bar { fill: #4a88cc } .lifted { fill: #2b9a83 } .over { fill: #ffffff } .roof { stroke: #f0823e }
    .roof-name { fill: #f0823e } .spread { stroke: #e4e9f0 }
  }
</style>
)";

std::string escaped(const std::string &text) {
  std::string result;
  for (const char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '&')
      result += "&amp;";
    else if (c == '"')
      result += "&quot;";
    else if (static_cast<unsigned char>(c) >= 0x20)
      result += c;
  }
  return result;
}

std::string text(double x, double y, const char *style, const char *anchor, const std::string &what) {
  return format("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, style, anchor) + escaped(what) +
         "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char *style) {
  return format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, style);
}

// "39,040"
std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string microseconds(double us) {
  if (us >= 1e4) return format("%.1f ms", us * 1e-3);
  return us < 100 ? format("%.1f µs", us) : format("%.0f µs", us);
}

std::string rate(double gigabytes) {
  return gigabytes >= 1000 ? format("%.2f TB/s", gigabytes * 1e-3) : format("%.1f GB/s", gigabytes);
}

struct Panel {
  const Shape *shape;
  std::vector<const Row *> rows;
  double height() const { return kPanelHead + static_cast<double>(rows.size()) * kLine + kPanelFoot; }
};

// What a step meets: each op with cold caches, from a graph where there is one.
std::vector<Panel> panels(const std::vector<Row> &rows) {
  std::vector<Panel> all;
  for (const Row &row : rows) {
    if (!row.cold || !row.times.supported || row.bytes < kLeastBytes) continue;
    if (all.empty() || std::string(all.back().shape->name) != row.shape.name) all.push_back({&row.shape, {}});
    std::vector<const Row *> &drawn = all.back().rows;
    const auto same = std::find_if(drawn.begin(), drawn.end(), [&](const Row *other) {
      return other->op == row.op && other->dtype == row.dtype && other->selection == row.selection;
    });
    if (same == drawn.end()) {
      drawn.push_back(&row);
    } else if (row.graph) {
      *same = &row;
    }
  }
  return all;
}

std::string draw(const Panel &panel, double copy_rate, double left, double top) {
  const double zero = left + kNames, bottom = top + panel.height() - kPanelFoot;
  const Shape &s = *panel.shape;
  std::string svg = text(left, top + 16, "panel", "start", s.name);
  svg += text(left + 150, top + 16, "soft", "start",
              grouped(s.rows) + " sub-vectors of " + std::to_string(s.vector_length) + ", top " +
                  std::to_string(s.topk) + " of " + grouped(s.num_vectors) + " bank vectors");
  for (const int percent : {0, 25, 50, 75}) {
    const double x = zero + kRoof * percent / 100;
    svg += line(x, top + kPanelHead - 8, x, bottom + 4, "grid");
    svg += text(x, bottom + 17, "soft tick", "middle", std::to_string(percent) + " %");
  }
  svg += text(zero + kRoof, top + kPanelHead - 16, "roof-name tick", "middle", "copy, " + rate(copy_rate));
  svg += text(zero + kBars + 62, top + kPanelHead - 16, "soft tick", "end", "time");
  svg += text(zero + kBars + kTimes, top + kPanelHead - 16, "soft tick", "end", "at the roof");
  double y = top + kPanelHead;
  for (const Row *row : panel.rows) {
    const double share = row->rate() / copy_rate;
    const auto length = [&](double us) { return std::min<double>(kBars, kRoof * 1e-3 * row->bytes / us / copy_rate); };
    const double bar = length(row->times.median), middle = y + kLine / 2.0;
    const std::string dtype = row->dtype == "float32" ? "" : " " + row->dtype;
    const std::string selection = row->selection == "-" ? "" : ", " + row->selection;
    svg += text(zero - 8, middle + 4, "", "end", row->op + dtype + selection);
    svg += format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"1.5\" class=\"%s\"/>\n", zero, y + 3,
                  std::max(bar, 1.0), kLine - 6, bar > kRoof ? "lifted" : "bar");
    if (share > kBars / kRoof) {
      svg += text(zero + kBars - 5, middle + 4, "over", "end", format("%.0f %%", 100 * share));
    } else {
      svg += line(zero + length(row->times.high), middle, zero + length(row->times.low), middle, "spread");
    }
    svg += text(zero + kBars + 62, middle + 4, "", "end", microseconds(row->times.median));
    svg += text(zero + kBars + kTimes, middle + 4, "soft", "end", microseconds(1e-3 * row->bytes / copy_rate));
    y += kLine;
  }
  svg += line(zero + kRoof, top + kPanelHead - 10, zero + kRoof, bottom + 4, "roof");
  return svg + text(zero + kRoof, bottom + 17, "roof-name tick", "middle", "100 %");
}

}  // namespace

std::string roofline(const Setting &setting, const std::vector<Row> &rows) {
  const std::vector<Panel> all = panels(rows);
  const double width = kMargin + (all.size() > 1 ? 2 : 1) * (kPanel + kMargin);
  std::string body;
  double top = kHead;
  for (size_t i = 0; i < all.size(); i += 2) {
    double height = 0;
    for (size_t j = i; j < std::min(i + 2, all.size()); ++j) {
      body += draw(all[j], setting.copy_rate, kMargin + static_cast<double>(j - i) * (kPanel + kMargin), top);
      height = std::max(height, all[j].height());
    }
    top += height;
  }
  const double height = top + kFoot;
  const bool graph = std::any_of(rows.begin(), rows.end(), [](const Row &row) { return row.graph; });
  std::string svg = format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
      "height=\"%.0f\" role=\"img\">\n",
      width, height, width, height);
  svg += "<title>" + escaped("vblora's kernels on " + setting.device + ", " + setting.date) + "</title>\n";
  svg += std::string(kStyle) + "<rect width=\"100%\" height=\"100%\" class=\"paper\"/>\n";
  svg += text(kMargin, 36, "title", "start", "How near the kernels come to the memory's roof");
  svg += text(kMargin, 60, "soft", "start", setting.device + " · " + setting.date);
  svg += body;
  svg += text(kMargin, height - 30, "soft tick", "start",
              format("Bars: bytes that must be moved / median of %d, as a share of a copy's rate (read + written), %s, "
                     "after reading %lld MiB.",
                     setting.repetitions, graph ? "replayed from a graph" : "launched one by one",
                     static_cast<long long>(setting.flush_mib)));
  svg += text(kMargin, height - 14, "soft tick", "start",
              "Thin line: 10th to 90th percentile. Green: beyond the roof, as data stayed in a cache. "
              "lowrank_*, silu_mul_*: one layer.");
  return svg + "</svg>\n";
}

}  // namespace bench
