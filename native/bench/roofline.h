// The picture of a benchmark.
#pragma once
#include <string>
#include <vector>

#include "report.h"

namespace bench {

// SVG: for each shape a panel, for each op a bar towards the roof, which is the bandwidth of a copy within the device.
std::string roofline(const Setting &setting, const std::vector<Row> &rows);

}  // namespace bench
