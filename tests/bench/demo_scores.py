#!/usr/bin/env python3
"""Held-out accuracy against stored bytes on the demo's data: LoRA of several ranks, VB-LoRA with several banks.

    ./vblora demo                                                  # writes build/demo/*.csv and fetches the encoder
    python3 tests/bench/demo_scores.py measure scores.csv          # minutes for each run on two cores
    python3 tests/bench/demo_scores.py draw scores.csv scores.svg

measure trains with the rates, batches and passes of the demo, whatever the size; only sizes and seeds vary. It writes a
row as soon as a run has ended, and goes on from a file that is there: what has a row is not run again. draw makes the
picture of README.md from it: points are medians over the seeds, and where there are several seeds, bars reach from the
lowest to the highest.

Stored bytes are those of adapter_model.safetensors less those of the classifier alone, which every method stores.
Needs Python's standard library only.
"""
import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COLUMNS = ("method", "r", "num_vectors", "seed", "stored_bytes", "accuracy")
# The demo's choices: DemoRecipe of java/vblora.
HEAD = ["--method", "head", "--num-train-epochs", "20", "--learning-rate-head", "3e-3"]
LORA = ["--method", "lora", "--num-train-epochs", "8", "--learning-rate", "2e-3", "--learning-rate-head", "5e-3"]
VBLORA = ["--method", "vblora", "--num-train-epochs", "8", "--vector-length", "128", "--topk", "2",
          "--learning-rate-vector-bank", "5e-3", "--learning-rate-logits", "1e-2", "--learning-rate-head", "5e-3",
          "--save-only-topk-weights"]
# (method, r, num_vectors); the demo's own first.
VARIANTS = ([("head", 0, 0), ("lora", 4, 0), ("vblora", 4, 90)]
            + [("lora", r, 0) for r in (1, 2, 8)]
            + [("vblora", 4, vectors) for vectors in (16, 30, 250, 1024)])


class Refused(Exception):
    """A sentence that names the file, what was found and what is expected."""


def finetune_options(method, r, vectors):
    if method == "head":
        return HEAD
    if method == "lora":
        return LORA + ["--r", str(r), "--lora-alpha", str(2 * r)]
    return VBLORA + ["--r", str(r), "--num-vectors", str(vectors)]


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Refused(f"exit code {done.returncode} of {' '.join(command)}")
    return done.stdout


def measured(arguments, method, r, vectors, seed):
    """(bytes of the tensors' file, accuracy) of one run."""
    compute = ["--threads", str(arguments.threads)]
    with tempfile.TemporaryDirectory() as folder:
        adapter = os.path.join(folder, "adapter")
        run([arguments.vblora, "finetune", "--task", "sequence-classification", "--model", arguments.model,
             "--train", os.path.join(arguments.data, "train.csv"), "--label-column", "intent", "--output", adapter,
             "--per-device-train-batch-size", "16", "--seed", str(seed)]
            + finetune_options(method, r, vectors) + compute)
        scores = json.loads(run([arguments.vblora, "evaluate", "--model", arguments.model, "--adapter", adapter,
                                 "--data", os.path.join(arguments.data, "held-out.csv"), "--label-column", "intent",
                                 "--json"] + compute))
        return os.path.getsize(os.path.join(adapter, "adapter_model.safetensors")), scores["accuracy"]


def measure(arguments):
    rows = read(arguments.scores) if os.path.exists(arguments.scores) else []
    known = {(row["method"], row["r"], row["num_vectors"], row["seed"]) for row in rows}
    with open(arguments.scores, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not rows:
            writer.writerow(COLUMNS)
        for seed in arguments.seeds:
            for variant in VARIANTS:
                if (*variant, seed) not in known:
                    writer.writerow((*variant, seed, *measured(arguments, *variant, seed)))
                    file.flush()


def read(path):
    """The rows with numbers in them."""
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise Refused(f"{path}: found the columns {reader.fieldnames}; expected {', '.join(COLUMNS)}")
        return [{"method": row["method"], "accuracy": float(row["accuracy"]),
                 **{name: int(row[name]) for name in ("r", "num_vectors", "seed", "stored_bytes")}} for row in reader]


def points(rows):
    """For each variant (method, r, num_vectors) in the order of its bytes: (bytes, lowest, median, highest accuracy)."""
    head = [row["stored_bytes"] for row in rows if row["method"] == "head"]
    if not head:
        raise Refused("no row of the method head; expected one, whose bytes are those of the classifier")
    scores = {}
    for row in rows:
        variant = (row["method"], row["r"], row["num_vectors"])
        scores.setdefault((row["stored_bytes"] - head[0], variant), []).append(100 * row["accuracy"])
    return {variant: (stored, min(found), statistics.median(found), max(found))
            for (stored, variant), found in sorted(scores.items())}


WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 112, 62
STYLE = """
  svg { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
  .ground { fill: #ffffff; stroke: #d0d7de }
  text { fill: #1f2328 }
  .faint { fill: #59636e }
  .grid { stroke: #d0d7de }
  .head { stroke: #59636e; stroke-dasharray: 5 4 }
  .lora { stroke: #b35900; fill: #b35900 }
  .vblora { stroke: #0969da; fill: #0969da }
  polyline.line { fill: none; stroke-width: 2 }
  text.label { stroke: none }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .head { stroke: #9198a1 }
    .lora { stroke: #f0a35e; fill: #f0a35e }
    .vblora { stroke: #6cb6ff; fill: #6cb6ff }
  }"""


def bytes_in_words(count):
    return f"{count // 1000000} MB" if count >= 1000000 else f"{count // 1000} kB"


def draw(arguments):
    with open(arguments.svg, "w") as file:
        file.write(picture(points(read(arguments.scores))))


def picture(variants):
    ticks = [count for power in range(3, 9) for count in (10 ** power, 2 * 10 ** power, 5 * 10 ** power)]
    stored = [values[0] for variant, values in variants.items() if variant[0] != "head"]
    first = max(tick for tick in ticks if tick <= min(stored))
    last = min(tick for tick in ticks if tick >= max(stored))
    bottom = 5 * math.floor(min(values[1] for values in variants.values()) / 5)
    top = 5 * math.ceil(max(values[3] for values in variants.values()) / 5)

    def x(count):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(count / first) / math.log(last / first)

    def y(percent):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (percent - bottom) / (top - bottom)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           'role="img">',
           "<title>Held-out accuracy against stored bytes: LoRA and VB-LoRA on the demo's data</title>",
           f"<style>{STYLE}\n</style>",
           f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6"/>',
           f'<text x="{LEFT}" y="26" font-size="15" font-weight="600">Held-out accuracy by stored bytes</text>',
           f'<text class="faint" x="{LEFT}" y="45">12 intents, 504 messages to learn from, 192 held out; '
           'all-MiniLM-L6-v2</text>']
    for percent in range(bottom, top + 1, 5):
        out.append(f'<path class="grid" d="M{LEFT} {y(percent):.1f}H{WIDTH - RIGHT}"/>')
        out.append(f'<text class="faint" x="{LEFT - 8}" y="{y(percent) + 4:.1f}" text-anchor="end">{percent} %</text>')
    for tick in (tick for tick in ticks if first <= tick <= last):
        out.append(f'<path class="grid" d="M{x(tick):.1f} {HEIGHT - BOTTOM}v5"/>')
        out.append(f'<text class="faint" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">'
                   f"{bytes_in_words(tick)}</text>")
    out.append(f'<text class="faint" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 16}" text-anchor="middle">'
               "stored bytes of the update, without the classifier (logarithmic)</text>")
    for variant, (_, _, median, _) in variants.items():
        if variant[0] == "head":
            out.append(f'<path class="head" d="M{LEFT} {y(median):.1f}H{WIDTH - RIGHT}"/>')
            out.append(f'<text class="faint" x="{WIDTH - RIGHT}" y="{y(median) - 6:.1f}" text-anchor="end">'
                       "classifier on the frozen encoder: 0 bytes</text>")
    legend = (("vblora", -10, "VB-LoRA of rank 4; the numbers are num_vectors"),
              ("lora", 20, "LoRA; the numbers are its rank r"))
    for number, (method, label_at, text) in enumerate(legend):
        height = 70 + 20 * number
        out.append(f'<circle class="{method}" cx="{LEFT + 5}" cy="{height - 4}" r="4"/>')
        out.append(f'<text x="{LEFT + 16}" y="{height}">{text}</text>')
        found = [(variant, values) for variant, values in variants.items() if variant[0] == method]
        path = " ".join(f"{x(values[0]):.1f},{y(values[2]):.1f}" for _, values in found)
        out.append(f'<polyline class="{method} line" points="{path}"/>')
        for (_, r, vectors), (count, low, median, high) in found:
            if low < high:
                out.append(f'<path class="{method}" d="M{x(count):.1f} {y(low):.1f}V{y(high):.1f}"/>')
            out.append(f'<circle class="{method}" cx="{x(count):.1f}" cy="{y(median):.1f}" r="4"/>')
            end = y(high if label_at < 0 else low)
            out.append(f'<text class="{method} label" x="{x(count):.1f}" y="{end + label_at:.1f}" text-anchor="middle">'
                       f"{r if method == 'lora' else vectors}</text>")
    return "\n".join(out + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("measure")
    command.add_argument("scores", help="CSV file that is written, or gone on with")
    command.add_argument("--vblora", default=os.path.join(ROOT, "vblora"), help="the command line (default: ./vblora)")
    command.add_argument("--model", default=os.path.join(ROOT, "build/models/all-minilm-l6-v2"))
    command.add_argument("--data", default=os.path.join(ROOT, "build/demo"), help="folder with train.csv, held-out.csv")
    command.add_argument("--seeds", type=int, nargs="+", default=[42, 1, 2])
    command.add_argument("--threads", type=int, default=0, help="of each run; 0: all (default). No result depends on it")
    command.set_defaults(do=measure)
    command = commands.add_parser("draw")
    command.add_argument("scores", help="CSV file of measure")
    command.add_argument("svg", help="picture that is written")
    command.set_defaults(do=draw)
    arguments = parser.parse_args()
    try:
        arguments.do(arguments)
    except (Refused, OSError) as e:
        print(f"{sys.argv[0]}: {e}", file=sys.stderr)
        sys.exit(2)


main()
