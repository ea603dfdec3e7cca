#!/usr/bin/env python3
"""A training step of VB-LoRA's admixture in PyTorch, as Hugging Face PEFT writes it, timed beside vblora's kernels.

The work is that of vblora-bench (native/bench), on the same shapes: all sub-vectors of a model, vector_length 256,
topk 2, float32. Forward: for each module and direction topk, softmax, index into the bank, multiply, sum, reshape to
A [r, in] and B [out, r]. Backward: autograd from given dA and dB of all modules to the gradients of bank and logits.
AdamW without weight decay on both. The model itself is left out. The modules come one after the other, as in PEFT.

    python3 tests/bench/pytorch_admixture.py --csv pytorch.csv
    vblora-bench --csv vblora.csv && python3 tests/bench/pytorch_admixture.py --vblora vblora.csv --csv pytorch.csv
    python3 tests/bench/pytorch_admixture.py --device cpu --quick        # does it run at all?

It needs PyTorch, 2.3 or later, alone; where peft is installed, it first checks on the CPU that a small adapter of
PEFT's own has the very same A, B, gradients and parameters after AdamW. What each variant runs, replays of graphs
included, is checked against eager execution on every shape before it is timed: A and B, gradients, updates.

Variants (--variant NAME, several times for several)
  eager, compile    the forward pass of a module as it stands, or through torch.compile
  +fused            AdamW(fused=True); without it PyTorch's default, foreach on CUDA and tensor by tensor on the CPU
  +graph            on CUDA: forward, AdamW and the whole step each captured into one CUDA graph. PEFT's test of the
                    logits for infinity waits for the device and cannot be captured: it is left out there alone

Phases: forward, backward, adamw, and step, which is the three with zero_grad. A graph does not hold a backward pass
without its forward pass, so that +graph has no figure for backward.

Selections: uniform; zipf (vector i in proportion to 1 / ((i + 1)(i + 2))); all-same (two vectors for all rows). The
logits of the vectors to be selected are raised above all others.

Times: on CUDA between two events, on the CPU by the clock; --flush-mib are read before each of them, so that inputs
come from memory. The median of --repetitions after 3 that are not measured, with the 10th and 90th percentile; of
fewer, 5 at least, once --seconds have gone by.

With --vblora FILE, the CSV of vblora-bench for the same --scale, a ratio stands beside each time: PyTorch's divided by
vblora's with cold caches, launched one by one or, for +graph, from graphs. vblora_csv.py says which ops make a phase;
there a sum of medians, each with its caches flushed, stands against a PyTorch step that is flushed once. PyTorch's
times without +graph have in them what the host takes to launch its kernels, which vblora's have not: what the device
takes is compared by +graph alone.

Exit code 0; 1 if a check failed; 2 for a bad option or file, or if there is no such device or no PyTorch.
"""
import argparse
import csv
import functools
import gc
import os
import sys
import time
import warnings
from pathlib import Path

from shapes import LENGTH, SELECTIONS, TOPK, shapes
from vblora_csv import Refused, Times

try:
    import torch
except ImportError as error:
    print(f"pytorch_admixture.py: PyTorch is needed ({error})", file=sys.stderr)
    sys.exit(2)

WARM_UPS, LEAST_REPETITIONS = 3, 5
# Moves parameters by so much that it shows, and so little that a repetition leaves the next one the same work.
LEARNING_RATE = 1e-5
RAISED = (2.0, 1.5)  # what selected logits are above the others, whose standard deviation is 0.1
# What a phase leaves behind.
LEAVES = {"forward": ("A and B",), "backward": ("gradients",), "adamw": ("updates",), "step": ("gradients", "updates")}


def refuse(sentence):
    print(f"pytorch_admixture.py: {sentence}", file=sys.stderr)
    sys.exit(2)


# --- the step ---------------------------------------------------------------------------------------------------------


def selected_vectors(rows, num_vectors, selection, generator):
    """[rows, 2], two different vectors for each row."""
    if selection == "all-same":
        first = torch.full((rows,), num_vectors // 3)
        second = first + 1
    elif selection == "zipf":
        def draw():
            share = torch.rand(rows, generator=generator, dtype=torch.float64) * (1 - 1 / num_vectors) + 1 / num_vectors
            return ((1 / share).long() - 1).clamp(0, num_vectors - 1)
        first, second = draw(), draw()
    else:
        first, second = (torch.randint(num_vectors, (rows,), generator=generator) for _ in range(2))
    second = torch.where(second == first, (first + 1) % num_vectors, second)
    return torch.stack((first, second), dim=1)


def low_rank_matrix(logits, bank, topk):
    """Sub-vectors [.., vector_length] of logits [.., num_vectors]."""
    values, indices = torch.topk(logits, topk, dim=-1)
    weights = torch.softmax(values, dim=-1)
    return (weights.unsqueeze(-1) * bank[indices]).sum(-2)


def lora_matrices(logits_a, logits_b, bank, topk):
    """A [r, in] of logits [r, in / b, h], and B [out, r] of logits [out / b, r, h]."""
    a = low_rank_matrix(logits_a, bank, topk).reshape(logits_a.shape[0], -1)
    b = low_rank_matrix(logits_b, bank, topk).transpose(1, 2).reshape(-1, logits_b.shape[1])
    return a, b


def refuse_infinity(logits_a):
    if logits_a[0, 0].isinf().any():
        raise RuntimeError("infinity in the logits")


class Parameters:
    """Bank, logits of all modules, and the dA and dB that a model would give back."""

    def __init__(self, shape, device):
        generator = torch.Generator().manual_seed(1)

        def normal(scale, *size):
            return (torch.randn(*size, generator=generator) * scale).to(device)

        self.shape = shape
        self.bank = normal(0.01, shape.num_vectors, LENGTH).requires_grad_()
        self.modules = []  # (logits_A, logits_B)
        self.gradients = []  # dA and dB in turn
        for i, o in shape.modules:
            self.modules.append((normal(0.1, shape.r, i // LENGTH, shape.num_vectors).requires_grad_(),
                                 normal(0.1, o // LENGTH, shape.r, shape.num_vectors).requires_grad_()))
            self.gradients += [normal(1e-3, shape.r, i), normal(1e-3, o, shape.r)]
        self.selected = [[] for _ in self.logits()]
        self.start = None  # what all() were after the selection

    def logits(self):
        return [logits for module in self.modules for logits in module]

    def all(self):
        return [self.bank, *self.logits()]

    @torch.no_grad()
    def select(self, selection):
        """Raises the logits of the vectors to be selected, and lowers those of the selection before."""
        if self.start:
            self.restore()
        generator = torch.Generator().manual_seed(2)
        for logits, before in zip(self.logits(), self.selected, strict=True):
            rows = logits.view(-1, logits.shape[-1])
            raised = torch.tensor(RAISED, device=logits.device).expand(rows.shape[0], TOPK)
            if before:
                rows.scatter_add_(1, before.pop(), -raised)
            chosen = selected_vectors(*rows.shape, selection, generator).to(logits.device)
            rows.scatter_add_(1, chosen, raised)
            before.append(chosen)
        self.start = [parameter.detach().clone() for parameter in self.all()]

    @torch.no_grad()
    def restore(self):
        """Undoes all updates."""
        for parameter, start in zip(self.all(), self.start, strict=True):
            parameter.copy_(start)


@functools.cache
def compiled_lora_matrices():
    """One for all variants: each shape of a module is compiled once."""
    return torch.compile(lora_matrices, dynamic=False, fullgraph=True)


class Step:
    """One variant of the step on given parameters."""

    def __init__(self, parameters, variant, topk=TOPK, learning_rate=LEARNING_RATE):
        parts = variant.split("+")
        self.parameters, self.topk = parameters, topk
        self.graph = "graph" in parts
        self.matrices_of = compiled_lora_matrices() if "compile" in parts else lora_matrices
        self.optimizer = torch.optim.AdamW(
            [{"params": [parameters.bank]}, {"params": parameters.logits()}], lr=learning_rate, weight_decay=0.0,
            capturable=self.graph, fused=True if "fused" in parts else None)
        self.matrices = None

    def forward(self):
        self.matrices = []
        for logits_a, logits_b in self.parameters.modules:
            if not self.graph:
                refuse_infinity(logits_a)
            self.matrices += self.matrices_of(logits_a, logits_b, self.parameters.bank, self.topk)

    def backward(self):
        torch.autograd.backward(self.matrices, self.parameters.gradients)
        self.matrices = None

    def adamw(self):
        self.optimizer.step()

    def zero_grad(self):
        self.optimizer.zero_grad(set_to_none=True)

    def step(self):
        self.zero_grad()
        self.forward()
        self.backward()
        self.adamw()

    @torch.no_grad()
    def restart(self):
        """Parameters and moments as they are before the first step, in place: graphs have their addresses."""
        self.parameters.restore()
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()

    def left(self, what):
        """What the phases have left, as named in LEAVES."""
        if what == "A and B":
            return [matrix.detach() for matrix in self.matrices]
        if what == "gradients":
            return [parameter.grad for parameter in self.parameters.all()]
        return [parameter.detach() - start
                for parameter, start in zip(self.parameters.all(), self.parameters.start, strict=True)]

    def phases(self):
        """The phases that are timed, in groups that stand alone: {phase: run}."""
        if not self.graph:
            yield {"forward": self.forward, "backward": self.backward, "adamw": self.adamw}
            yield {"step": self.step}
            return
        yield {"forward": captured(self.forward)}
        self.restart()
        self.step()  # gradients for AdamW, outside its graph
        yield {"adamw": captured(self.adamw)}
        yield {"step": captured(self.step)}

    def release(self):
        """Forgets what phases have left."""
        self.matrices = None
        self.zero_grad()


def captured(run):
    """run() as a CUDA graph, after what PyTorch wants before a capture: some runs in another stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    gc.collect()  # no graph is to be destroyed during the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


# --- checks -----------------------------------------------------------------------------------------------------------


def check_against_peft():
    """Whether a small adapter of PEFT's has the same bits on the CPU: matrices, gradients and updated parameters."""
    try:
        import peft
    except Exception as error:  # not installed, or not for this PyTorch
        reason = (str(error).splitlines() or [""])[0]
        print(f"peft cannot be imported: that this is PEFT's computation was not checked ({reason})\n")
        return True

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(96, 64), torch.nn.Linear(64, 32)

        def forward(self, x):
            return self.second(torch.tanh(self.first(x)))

    torch.manual_seed(3)
    config = peft.VBLoRAConfig(target_modules=["first", "second"], r=4, num_vectors=24, vector_length=16, topk=3,
                               vblora_dropout=0.0)
    model = peft.get_peft_model(Small(), config).train()
    layers = [model.base_model.model.first, model.base_model.model.second]
    bank = layers[0].vblora_vector_bank["default"]
    theirs = [bank]
    for layer in layers:
        theirs += [layer.vblora_logits_A["default"], layer.vblora_logits_B["default"]]

    ours = Parameters.__new__(Parameters)
    copies = [p.detach().clone().requires_grad_() for p in theirs]
    ours.bank, ours.modules = copies[0], [tuple(copies[1:3]), tuple(copies[3:5])]
    step = Step(ours, "eager", topk=3, learning_rate=1e-2)

    def same(what, found, expected):
        for f, e in zip(found, expected, strict=True):
            if not torch.equal(f, e):
                print(f"{what} differ from PEFT's by up to {(f - e).abs().max().item():.3g}", file=sys.stderr)
                return False
        return True

    # PEFT's model end to end: what reaches A and B there is the gradient that ours begins with.
    matrices = []
    for layer in layers:
        matrices_of = layer._get_lora_matrices

        def kept(*arguments, matrices_of=matrices_of):
            pair = matrices_of(*arguments)
            for matrix in pair:
                matrix.retain_grad()
            matrices.extend(pair)
            return pair

        layer._get_lora_matrices = kept
    optimizer = torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.0)
    model(torch.randn(8, 96)).square().sum().backward()
    optimizer.step()

    ours.gradients = [matrix.grad.clone() for matrix in matrices]
    step.forward()
    right = same("A and B", step.matrices, matrices)
    step.backward()
    right = same("gradients", [p.grad for p in copies], [p.grad for p in theirs]) and right
    step.adamw()
    right = same("parameters after AdamW", copies, theirs) and right
    if right:
        print(f"peft {peft.__version__}: A, B, their gradients, and the parameters after AdamW are the same bits\n")
    return right


def results(step, runs):
    """{what: tensors} that the runs, begun anew, leave."""
    step.restart()
    if not step.graph:
        step.zero_grad()
    found = {}
    for phase, run in runs.items():
        if step.graph:
            spoil(step, phase)
        run()
        found |= {what: [tensor.clone() for tensor in step.left(what)] for what in LEAVES[phase]}
    return found


@torch.no_grad()
def spoil(step, phase):
    """Overwrites what a replay is to leave; updates are seen from the start."""
    for what in LEAVES[phase]:
        if what != "updates":
            for tensor in step.left(what):
                tensor.fill_(float("nan"))


def check(found, expected):
    """A, B and gradients: to 1e-4 of each tensor's largest number. Updates: to a quarter of the learning rate, which
    most of them are as large as; where a gradient is next to nothing, its rounding decides."""
    for what, tensors in found.items():
        for f, e in zip(tensors, expected[what], strict=True):
            bound = LEARNING_RATE / 4 if what == "updates" else 1e-4 * e.abs().max()
            if not (f - e).abs().max() <= bound:
                raise RuntimeError(f"{what} differ from those of eager execution by up to {(f - e).abs().max():.3g}, "
                                   f"expected at most {bound:.3g}")


# --- time -------------------------------------------------------------------------------------------------------------


class Timer:
    def __init__(self, device, repetitions, seconds, flush_mib):
        self.cuda, self.repetitions, self.seconds = device.type == "cuda", repetitions, seconds
        self.flushed = torch.zeros(flush_mib << 18, device=device)
        if self.cuda:
            self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def once(self, run):
        """Microseconds of run() with caches flushed."""
        self.flushed.sum()
        if not self.cuda:
            start = time.perf_counter()
            run()
            return 1e6 * (time.perf_counter() - start)
        self.events[0].record()
        run()
        self.events[1].record()
        self.events[1].synchronize()
        return 1e3 * self.events[0].elapsed_time(self.events[1])

    def measure(self, runs, before):
        """Runs the phases in order, each timed, after before(); the microseconds of each, sorted."""
        times = {phase: [] for phase in runs}
        start = time.perf_counter()
        for repetition in range(-WARM_UPS, self.repetitions):
            if repetition >= LEAST_REPETITIONS and time.perf_counter() - start > self.seconds:
                break
            before()
            for phase, run in runs.items():
                taken = self.once(run)
                if repetition >= 0:
                    times[phase].append(taken)
        return {phase: sorted(values) for phase, values in times.items()}


def percentile(values, share):
    return values[int(share * (len(values) - 1) + 0.5)]


def measure(step, timer, expected):
    """{phase: microseconds, sorted}, of phases that leave what is expected."""
    times = {}
    for runs in step.phases():
        check(results(step, runs), expected)
        times |= timer.measure(runs, before=(lambda: None) if step.graph else step.zero_grad)
    return times


def flush_mib(device):
    """What pushes everything else out of the caches, by vblora-bench's rule."""
    if device.type != "cuda":
        return 256
    return max(256, 4 * torch.cuda.get_device_properties(device).L2_cache_size >> 20)


# --- the program ------------------------------------------------------------------------------------------------------


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    parser.add_argument("--threads", type=int, help="of the CPU (default: PyTorch's)")
    parser.add_argument("--shape", action="append", choices=[shape.name for shape in shapes(1)], help="only this one")
    parser.add_argument("--selection", action="append", choices=SELECTIONS, help="only this one")
    parser.add_argument("--variant", action="append", help="only this one: eager or compile, with +fused, +graph")
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=1.0, help="of repetitions, for a phase or three (default: 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies rows and bank vectors, down to 64 and 32")
    parser.add_argument("--flush-mib", type=int, help="MiB read before each repetition (default: 256, or four times "
                        "the L2 cache)")
    parser.add_argument("--quick", action="store_true", help="--scale 0.002 --repetitions 1 --flush-mib 1")
    parser.add_argument("--vblora", metavar="FILE", help="the CSV of vblora-bench to compare with")
    parser.add_argument("--csv", metavar="FILE", help="write the table as comma-separated values as well, anew after "
                        "each shape")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.scale, chosen.repetitions, chosen.flush_mib = 0.002, 1, chosen.flush_mib or 1
    for name, least in (("threads", 1), ("repetitions", 1), ("flush_mib", 1)):
        value = getattr(chosen, name)
        if value is not None and value < least:
            parser.error(f"--{name.replace('_', '-')}: found {value}; expected at least {least}")
    if not chosen.seconds >= 0:
        parser.error(f"--seconds: found {chosen.seconds}; expected at least 0")
    if not 0 < chosen.scale <= 1:
        parser.error(f"--scale: found {chosen.scale}; expected a number above 0, at most 1")
    if chosen.csv and not Path(chosen.csv).absolute().parent.is_dir():
        parser.error(f"--csv: found {chosen.csv}; expected a file in a folder that is there")
    try:
        device = torch.device(chosen.device)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        parser.error(f"--device: found {chosen.device}; expected cuda, cuda:N or cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        refuse("PyTorch finds no CUDA device; --device cpu measures the CPU")
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        if device.index >= torch.cuda.device_count():
            refuse(f"there is no CUDA device {device.index}, PyTorch finds {torch.cuda.device_count()}")
    all_variants = [first + optimizer + graph for graph in (("", "+graph") if device.type == "cuda" else ("",))
                    for first in ("eager", "compile") for optimizer in ("", "+fused")]
    for variant in chosen.variant or ():
        if variant not in all_variants:
            parser.error(f"--variant: found {variant}; expected one of {', '.join(all_variants)}")
    return chosen, device, chosen.variant or all_variants


COLUMNS = ("shape", "selection", "variant", "phase", "rows", "num_vectors", "vector_length", "topk", "device",
           "repetitions", "median_us", "low_us", "high_us", "vblora_us", "ratio")


def write_table(path, table):
    """Whole or not at all; what is no file, /dev/stdout for instance, is written to as it stands."""
    replaced = path.is_file() or not path.exists()
    part = path.with_name(path.name + ".part") if replaced else path
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(table)
        file.flush()
        if replaced:
            os.fsync(file.fileno())
    if replaced:
        part.replace(path)


def phases_of_vblora(chosen, device, variants):
    """{(shape, selection, graph): {phase: microseconds}} for all that is to be timed, out of --vblora's file."""
    if not chosen.vblora:
        return {}
    times = Times(chosen.vblora)
    times.require_device(device.type)
    return {(shape.name, selection, graph): times.phases(shape, selection, "graph" if graph else "eager")
            for shape in chosen_shapes(chosen) for selection in chosen.selection or SELECTIONS
            for graph in {"graph" in variant for variant in variants}}


def chosen_shapes(chosen):
    return [shape for shape in shapes(chosen.scale) if not chosen.shape or shape.name in chosen.shape]


def main():
    chosen, device, variants = options()
    try:
        theirs = phases_of_vblora(chosen, device, variants)
    except Refused as refused:
        refuse(f"--vblora: {refused}")
    # A capturable AdamW that also runs outside a graph, as before a capture, would be warned of.
    warnings.filterwarnings("ignore", message=".*capturable=True.*")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    flushed = chosen.flush_mib or flush_mib(device)
    print(f"PyTorch {torch.__version__}, {name}, {flushed} MiB read before each repetition", flush=True)
    if not check_against_peft():
        return 1

    timer = Timer(device, chosen.repetitions, chosen.seconds, flushed)
    table, failed = [], False
    print(f"{'shape':<16} {'selection':<9} {'variant':<19} {'phase':<8} {'median us':>11} {'10 %':>11} {'90 %':>11}"
          f" {'vblora us':>11} {'ratio':>7}")
    for shape in chosen_shapes(chosen):
        torch.compiler.reset()  # what was compiled for other shapes
        parameters = Parameters(shape, device)
        for selection in chosen.selection or SELECTIONS:
            parameters.select(selection)
            eager = Step(parameters, "eager")
            expected = results(eager, next(eager.phases()))
            for variant in variants:
                case = f"{shape.name:<16} {selection:<9} {variant:<19}"
                step = Step(parameters, variant)
                try:
                    times = measure(step, timer, expected)
                except Exception as error:  # no compiler for torch.compile, for instance: on to the next variant
                    reason = (str(error).splitlines() or [""])[0]
                    print(f"{case} failed: {type(error).__name__}: {reason}", flush=True)
                    failed = True
                    continue
                finally:
                    step.release()
                own = theirs.get((shape.name, selection, step.graph), {})
                for phase, values in times.items():
                    median, low, high = (percentile(values, share) for share in (0.5, 0.1, 0.9))
                    ratio = median / own[phase] if own else None
                    beside = f" {own[phase]:11.1f} {ratio:7.1f}" if own else ""
                    print(f"{case} {phase:<8} {median:11.1f} {low:11.1f} {high:11.1f}{beside}", flush=True)
                    table.append((shape.name, selection, variant, phase, shape.rows, shape.num_vectors, LENGTH, TOPK,
                                  "cpu" if device.type == "cpu" else device.index, len(values),
                                  f"{median:.3f}", f"{low:.3f}", f"{high:.3f}", f"{own[phase]:.3f}" if own else "",
                                  f"{ratio:.3f}" if own else ""))
        if chosen.csv:
            write_table(Path(chosen.csv), table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
