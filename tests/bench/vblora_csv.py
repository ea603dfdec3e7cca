#!/usr/bin/env python3
"""What the phases of a training step take vblora, out of the CSV of vblora-bench (native/bench). Needs no PyTorch.

    vblora-bench --csv vblora.csv && python3 tests/bench/vblora_csv.py vblora.csv

prints shape, selection, mode, phase and microseconds, with cold caches:
  forward   select + compose (float32)
  backward  backward
  adamw     adamw (the bank) + adamw_active_select, or adamw_select below 256 vectors; the next selection is in it
  step      compose + backward + adamw as above: in the steady state there is no other selection
On CUDA vblora-bench leaves out what the host takes to launch kernels, a dozen in a step; adamw_active_select is a step
that activates no entry.

A column, shape or op that is missing is refused with exit code 2: a ratio that is nowhere is not noticed.
"""
import argparse
import csv
import math
import sys

from shapes import SELECTIONS, shapes

# From this size of the bank on vblora updates active sets: AdamW.ACTIVE_SET_NUM_VECTORS of java/adapter, as
# tests/native/bench/vblora_csv_test.cmake sees to.
ACTIVE_SET_NUM_VECTORS = 256
PHASES = ("forward", "backward", "adamw", "step")


class Refused(Exception):
    """A sentence that names the file, what was found and what is expected."""


class Times:
    """The times with cold caches in a CSV of vblora-bench."""

    COLUMNS = ("shape", "op", "dtype", "selection", "rows", "num_vectors", "device", "mode", "cache", "status",
               "median_us")

    def __init__(self, path):
        self.path, self.cases, self.sizes, self.devices = path, {}, {}, set()
        try:
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                found = reader.fieldnames or ()
                missing = [column for column in self.COLUMNS if column not in found]
                if missing:
                    raise Refused(f"{path} has no column {missing[0]}, found {', '.join(found) or 'none'}; expected "
                                  "the CSV of vblora-bench")
                for row in reader:
                    self._add(reader.line_num, row)
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise Refused(f"{path} is no CSV ({error}); expected that of vblora-bench") from error

    def _add(self, number, row):
        if None in row or None in row.values():
            raise Refused(f"{self.path}, line {number}: found another number of columns than in the first line")
        if row["cache"] != "cold":
            return
        try:
            median = float(row["median_us"]) if row["status"] == "ok" else None
            size = int(row["rows"]), int(row["num_vectors"])
        except ValueError:
            median = math.nan
        if median is not None and not 0 <= median < math.inf:
            raise Refused(f"{self.path}, line {number}: rows, num_vectors, median_us: found {row['rows']}, "
                          f"{row['num_vectors']}, {row['median_us']}; expected numbers")
        self.sizes[row["shape"]] = size
        self.devices.add("cpu" if row["device"] == "cpu" else "cuda")
        case = (row["shape"], row["op"], row["dtype"], row["selection"], row["mode"])
        self.cases[case] = row["status"], median

    def require_device(self, kind):
        """kind: cpu or cuda."""
        if self.devices != {kind}:
            raise Refused(f"{self.path}: device: found times of {', '.join(sorted(self.devices)) or 'none'}; expected "
                          f"{kind} alone")

    def phases(self, shape, selection, mode):
        """{phase: microseconds} of all phases. mode: eager, launched one by one, or graph."""
        rows, num_vectors = self._size(shape)
        # Where they were scaled, rows may differ by less than r.
        if num_vectors != shape.num_vectors or not 0 <= shape.rows - rows < shape.r:
            raise Refused(f"{self.path}: {shape.name}: found {rows} rows and {num_vectors} vectors; expected "
                          f"{shape.rows} and {shape.num_vectors}, by the same --scale")
        select = self._median(shape, "select", "-", mode)
        compose = self._median(shape, "compose", selection, mode)
        backward = self._median(shape, "backward", selection, mode)
        adamw_select = "adamw_active_select" if shape.num_vectors >= ACTIVE_SET_NUM_VECTORS else "adamw_select"
        adamw = self._median(shape, "adamw", "-", mode) + self._median(shape, adamw_select, "-", mode)
        return dict(zip(PHASES, (select + compose, backward, adamw, compose + backward + adamw)))

    def _size(self, shape):
        if shape.name not in self.sizes:
            raise Refused(f"{self.path} has no shape {shape.name}, found {', '.join(sorted(self.sizes)) or 'none'}")
        return self.sizes[shape.name]

    def _median(self, shape, op, selection, mode):
        case = (shape.name, op, "float32", selection, mode)
        if case not in self.cases:
            ops = sorted({f"{other[1]} ({other[4]})" for other in self.cases if other[0] == shape.name})
            raise Refused(f"{self.path} has no row {', '.join(case)}, cold; found for this shape {', '.join(ops)}")
        status, median = self.cases[case]
        if median is None:
            raise Refused(f"{self.path}: {', '.join(case)}, cold: status: found {status}; expected ok")
        return median


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="the CSV of vblora-bench")
    parser.add_argument("--scale", type=float, default=1.0, help="as vblora-bench was given it; --quick's is 0.002")
    parser.add_argument("--shape", action="append", choices=[shape.name for shape in shapes(1)], help="only this one")
    chosen = parser.parse_args()
    try:
        times = Times(chosen.file)
        modes = ("eager", "graph") if "cuda" in times.devices else ("eager",)
        lines = [f"{shape.name},{selection},{mode},{phase},{microseconds:.3f}"
                 for shape in shapes(chosen.scale) if not chosen.shape or shape.name in chosen.shape
                 for selection in SELECTIONS for mode in modes
                 for phase, microseconds in times.phases(shape, selection, mode).items()]
    except Refused as refused:
        print(f"vblora_csv.py: {refused}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
