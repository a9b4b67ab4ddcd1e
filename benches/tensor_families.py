#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "scipy==1.17.1", "torch==2.15.0"]
# ///
"""The families of tensor operations beside NumPy and PyTorch: a table of medians and ratios.

    python3 benches/tensor_families.py [--quick] [--threads 1,2] [--filter TEXT] [--rounds N] [--seconds S]

Builds and starts `cargo bench -p bitnet-tensor --bench families`, and measures each workload in turn
here, in NumPy and in PyTorch, round by round: what disturbs the machine disturbs all three. A figure
is the median of the rounds' medians. The ratio is the other's time by ours: above 1 we are faster.
`--quick` takes one short round, to see that everything runs; its figures say nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of 20 ms")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, one table each")
    parser.add_argument("--filter", default="", help="only workloads whose name has this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each library, workload and round")
    parser.add_argument("--binary", help="a built bench; cargo builds one otherwise")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.02
    return options


def build():
    """Path of the bench binary."""
    command = ["cargo", "bench", "-q", "-p", "bitnet-tensor", "--bench", "families", "--no-run"]
    command += ["--message-format", "json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    built = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "families"]
    return built[-1]


class Ours:
    """The bench binary, asked for one workload at a time."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the bench ended: see its message above")
        return line.rstrip("\n")

    def names(self):
        self.ask("list")
        return list(iter(self.answer, ""))

    def median(self, name, seconds):
        self.ask(f"{name} {seconds}")
        return float(self.answer())


def median(call, seconds):
    """As the bench measures: after a first call, all that fit into the time, at least three."""
    call()
    samples = []
    begin = time.perf_counter()
    while len(samples) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def workloads():
    """Of each workload a function that makes the calls of NumPy and PyTorch; None: it has none."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    import scipy.special

    torch.set_grad_enabled(False)
    rng = np.random.default_rng(1)

    def numbers(*shape, dtype=np.float32):
        return rng.uniform(-1, 1, shape).astype(dtype)

    def both(numpy_call, torch_call, *makers):
        def make():
            arrays = [maker() for maker in makers]
            tensors = [torch.from_numpy(array) for array in arrays]
            return (
                numpy_call and (lambda: numpy_call(*arrays)),
                torch_call and (lambda: torch_call(*tensors)),
            )

        return make

    small, medium = lambda: numbers(1 << 12), lambda: numbers(1 << 20)
    matrix = lambda: numbers(1024, 1024)
    large, large_matrix = lambda: numbers(1 << 24), lambda: numbers(4096, 4096)
    positives = lambda: np.abs(medium())

    def normals_of(size):
        def make():
            a = numbers(size, size, dtype=np.float64)
            return a @ a.T / size + np.eye(size)

        return make

    def squares(size, dtype=np.float32):
        return lambda: numbers(size, size, dtype=dtype)

    def batch():
        return numbers(64, 128, 128)

    def column(size):
        return lambda: numbers(size, 1, dtype=np.float64)

    def indices(count, limit, *shape):
        return lambda: rng.integers(0, limit, count).reshape(shape or (count,))

    def softmax(x, axis):
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    def log_softmax(x):
        x = x - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    def layer_norm(x, weight, bias):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * weight + bias

    def rms_norm(x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight

    def quantize_numpy(x):
        scale = 127 / np.maximum(np.abs(x).max(-1, keepdims=True), 1e-5)
        return np.clip(np.rint(x * scale), -128, 127).astype(np.int8)

    def quantize_torch(x):
        scale = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
        return (x * scale).round().clamp(-128, 127).to(torch.int8)

    def ternary_numpy(x):
        return np.clip(np.rint(x / max(np.abs(x).mean(), 1e-5)), -1, 1).astype(np.int8)

    def ternary_torch(x):
        return (x / x.abs().mean().clamp(min=1e-5)).round().clamp(-1, 1).to(torch.int8)

    def groups_numpy(x):
        groups = x.reshape(-1, 64)
        scale = np.abs(groups).max(-1, keepdims=True) / 7
        return (np.clip(np.rint(groups / scale), -7, 7).astype(np.int8) * scale).reshape(x.shape)

    def groups_torch(x):
        groups = x.view(-1, 64)
        scale = groups.abs().amax(-1, keepdim=True) / 7
        return ((groups / scale).round().clamp(-7, 7).to(torch.int8) * scale).view(x.shape)

    def add_rows_numpy(x, i, rows):
        y = x.copy()
        np.add.at(y, i, rows)
        return y

    def gelu_numpy(x):
        return 0.5 * x * (1 + scipy.special.erf(x * np.float32(0.5**0.5)))

    def attention(tokens, causal):
        heads = lambda: numbers(1, 8, tokens, 64)
        hidden = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1) if causal else np.float32(0)

        def by_numpy(q, k, v):
            return softmax(q @ k.swapaxes(-1, -2) * np.float32(0.125) + hidden, -1) @ v

        def by_torch(q, k, v):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

        return both(by_numpy, by_torch, heads, heads, heads)

    def convolution(n, channels, size):
        image = lambda: numbers(n, channels, size, size)
        filters = lambda: numbers(channels, channels, 3, 3)
        return both(None, lambda x, w: F.conv2d(x, w, padding=1), image, filters)

    def half_product(size):
        a, b = (torch.from_numpy(numbers(size, size)).bfloat16() for _ in range(2))
        return lambda: a @ b

    def random(numpy_call, torch_call):
        return lambda: (numpy_call, torch_call)


    return {
        "elementwise/add 4K": both(np.add, torch.add, small, small),
        "elementwise/add 1M": both(np.add, torch.add, medium, medium),
        "elementwise/add in place 1M": both(lambda a, b: np.add(a, b, out=a), lambda a, b: a.add_(b), medium, medium),
        "elementwise/add row 1024x1024": both(np.add, torch.add, matrix, lambda: numbers(1024)),
        "elementwise/add column 1024x1024": both(np.add, torch.add, matrix, lambda: numbers(1024, 1)),
        "elementwise/add transposed 1024x1024": both(lambda a, b: a + b.T, lambda a, b: a + b.T, matrix, matrix),
        "elementwise/add 16M": both(np.add, torch.add, large, large),
        "elementwise/multiply 16M": both(np.multiply, torch.mul, large, large),
        "elementwise/add row 4096x4096": both(np.add, torch.add, large_matrix, lambda: numbers(4096)),
        "elementwise/add column 4096x4096": both(np.add, torch.add, large_matrix, lambda: numbers(4096, 1)),
        "elementwise/add transposed 4096x4096": both(
            lambda a, b: a + b.T, lambda a, b: a + b.T, large_matrix, large_matrix
        ),
        "elementwise/multiply by number 1M": both(lambda x: x * 1.5, lambda x: x * 1.5, medium),
        "elementwise/greater 1M": both(np.greater, torch.gt, medium, medium),
        "elementwise/where 1M": both(np.where, torch.where, lambda: medium() > 0, medium, medium),
        "transcendental/exp 4K": both(np.exp, torch.exp, small),
        "transcendental/exp 1M": both(np.exp, torch.exp, medium),
        "transcendental/log 1M": both(np.log, torch.log, positives),
        "transcendental/sin 1M": both(np.sin, torch.sin, medium),
        "transcendental/tanh 1M": both(np.tanh, torch.tanh, medium),
        "transcendental/erf 1M": both(scipy.special.erf, torch.erf, medium),
        "transcendental/gelu 1M": both(gelu_numpy, F.gelu, medium),
        "transcendental/power 1M": both(np.power, torch.pow, positives, medium),
        "reduction/sum axis 0 1024x1024": both(lambda x: x.sum(0), lambda x: x.sum(0), matrix),
        "reduction/sum axis 1 1024x1024": both(lambda x: x.sum(1), lambda x: x.sum(1), matrix),
        "reduction/sum all 4K": both(np.sum, torch.sum, small),
        "reduction/sum all 1M": both(np.sum, torch.sum, medium),
        "reduction/mean axis 1 1024x1024": both(lambda x: x.mean(1), lambda x: x.mean(1), matrix),
        "reduction/mean all 1M": both(np.mean, torch.mean, medium),
        "reduction/variance all 1M": both(np.var, lambda x: x.var(correction=0), medium),
        "reduction/max axis 1 1024x1024": both(lambda x: x.max(1), lambda x: x.amax(1), matrix),
        "reduction/variance axis 1 1024x1024": both(lambda x: x.var(1), lambda x: x.var(1, correction=0), matrix),
        "reduction/argmax axis 1 1024x1024": both(lambda x: x.argmax(1), lambda x: x.argmax(1), matrix),
        "reduction/median axis 1 1024x1024": both(lambda x: np.median(x, 1), lambda x: x.median(1), matrix),
        "movement/copy 1M": both(np.copy, torch.clone, medium),
        "movement/copy transposed 1024x1024": both(lambda x: np.ascontiguousarray(x.T), lambda x: x.T.contiguous(), matrix),
        "movement/copy transposed 4096x4096": both(
            lambda x: np.ascontiguousarray(x.T), lambda x: x.T.contiguous(), large_matrix
        ),
        "movement/cat axis 0 2x512x1024": both(
            lambda a, b: np.concatenate((a, b), 0),
            lambda a, b: torch.cat((a, b), 0),
            lambda: numbers(512, 1024),
            lambda: numbers(512, 1024),
        ),
        "movement/cat axis 1 2x1024x512": both(
            lambda a, b: np.concatenate((a, b), 1),
            lambda a, b: torch.cat((a, b), 1),
            lambda: numbers(1024, 512),
            lambda: numbers(1024, 512),
        ),
        "movement/select rows 4096 of 32768x256": both(
            lambda x, i: np.take(x, i, 0),
            lambda x, i: x.index_select(0, i),
            lambda: numbers(32768, 256),
            indices(4096, 32768),
        ),
        "movement/gather axis 1 1024x1024": both(
            lambda x, i: np.take_along_axis(x, i, 1),
            lambda x, i: x.gather(1, i),
            matrix,
            indices(1 << 20, 1024, 1024, 1024),
        ),
        "movement/pad 1024x1024": both(lambda x: np.pad(x, 1), lambda x: F.pad(x, (1, 1, 1, 1)), matrix),
        "indexing/where a mask is true 1M": both(lambda x, m: x[m], lambda x, m: x[m], medium, lambda: medium() > 0),
        "indexing/every second, backwards 1024x1024": both(
            lambda x: x[::-2, ::2].copy(), lambda x: x.flip(0)[::2, ::2].clone(), matrix
        ),
        "indexing/add 4096 rows to 32768x256": both(
            add_rows_numpy,
            lambda x, i, rows: x.index_add(0, i, rows),
            lambda: numbers(32768, 256),
            indices(4096, 32768),
            lambda: numbers(4096, 256),
        ),
        "search/1M in 4096 sorted": both(np.searchsorted, torch.searchsorted, lambda: np.sort(small()), medium),
        "search/unique of 1M of 1000": both(np.unique, torch.unique, indices(1 << 20, 1000)),
        "sorting/sort 1M": both(np.sort, torch.sort, medium),
        "sorting/sort axis 1 1024x1024": both(np.sort, torch.sort, matrix),
        "sorting/argsort 1M": both(lambda x: np.argsort(x, stable=True), lambda x: torch.argsort(x, stable=True), medium),
        "sorting/top 10 of 1024x1024": both(None, lambda x: x.topk(10), matrix),
        "scan/cumsum 1M": both(np.cumsum, lambda x: x.cumsum(0), medium),
        "scan/cumsum axis 0 1024x1024": both(lambda x: x.cumsum(0), lambda x: x.cumsum(0), matrix),
        "scan/cumsum axis 1 1024x1024": both(lambda x: x.cumsum(1), lambda x: x.cumsum(1), matrix),
        "random/normal 1M": random(
            lambda: rng.standard_normal(1 << 20, dtype=np.float32), lambda: torch.randn(1 << 20)
        ),
        "random/uniform 1M": random(lambda: rng.random(1 << 20, dtype=np.float32), lambda: torch.rand(1 << 20)),
        "matmul/f32 32": both(np.matmul, torch.matmul, squares(32), squares(32)),
        "matmul/f32 256": both(np.matmul, torch.matmul, squares(256), squares(256)),
        "matmul/f32 1024": both(np.matmul, torch.matmul, squares(1024), squares(1024)),
        "matmul/f32 2048": both(np.matmul, torch.matmul, squares(2048), squares(2048)),
        "matmul/f32 16x2560x2560": both(np.matmul, torch.matmul, lambda: numbers(16, 2560), squares(2560)),
        "matmul/f32 4096x4096 by a column": both(
            np.matmul, torch.matmul, squares(4096), lambda: numbers(4096, 1)
        ),
        "matmul/f32 a row by 4096x4096": both(np.matmul, torch.matmul, lambda: numbers(1, 4096), squares(4096)),
        "matmul/bf16 1024": lambda: (None, half_product(1024)),
        "matmul/f32 1024 transposed": both(lambda a, b: a @ b.T, lambda a, b: a @ b.T, squares(1024), squares(1024)),
        "matmul/f32 batch 64x128": both(np.matmul, torch.matmul, batch, batch),
        "matmul/f64 256": both(np.matmul, torch.matmul, squares(256, np.float64), squares(256, np.float64)),
        "einsum/bij,bjk->bik 64x128": both(
            lambda a, b: np.einsum("bij,bjk->bik", a, b, optimize=True),
            lambda a, b: torch.einsum("bij,bjk->bik", a, b),
            batch,
            batch,
        ),
        "einsum/ijk,jil->kl 64": both(
            lambda a, b: np.einsum("ijk,jil->kl", a, b, optimize=True),
            lambda a, b: torch.einsum("ijk,jil->kl", a, b),
            lambda: numbers(64, 64, 64),
            lambda: numbers(64, 64, 64),
        ),
        **{
            f"decomposition/{name} {size}": both(by_numpy, by_torch, maker(size))
            for name, sizes, by_numpy, by_torch, maker in [
                (
                    "svd",
                    (32, 512),
                    lambda x: np.linalg.svd(x, full_matrices=False),
                    lambda x: torch.linalg.svd(x, full_matrices=False),
                    lambda size: squares(size, np.float64),
                ),
                ("qr", (32, 512), np.linalg.qr, torch.linalg.qr, lambda size: squares(size, np.float64)),
                ("cholesky", (32, 512), np.linalg.cholesky, torch.linalg.cholesky, normals_of),
                ("eigh", (512,), np.linalg.eigh, torch.linalg.eigh, normals_of),
                ("inverse", (512,), np.linalg.inv, torch.linalg.inv, normals_of),
            ]
            for size in sizes
        },
        "decomposition/solve 32": both(np.linalg.solve, torch.linalg.solve, normals_of(32), column(32)),
        "decomposition/solve 512": both(np.linalg.solve, torch.linalg.solve, normals_of(512), column(512)),
        "softmax/softmax 1024x1024": both(lambda x: softmax(x, -1), lambda x: x.softmax(-1), matrix),
        "softmax/softmax axis 0 1024x1024": both(lambda x: softmax(x, 0), lambda x: x.softmax(0), matrix),
        "softmax/log_softmax 1024x1024": both(log_softmax, lambda x: x.log_softmax(-1), matrix),
        "normalization/layer_norm 1024x1024": both(
            layer_norm,
            lambda x, w, b: F.layer_norm(x, (1024,), w, b),
            matrix,
            lambda: numbers(1024),
            lambda: numbers(1024),
        ),
        "normalization/rms_norm 1024x1024": both(
            rms_norm, lambda x, w: F.rms_norm(x, (1024,), w, 1e-5), matrix, lambda: numbers(1024)
        ),
        "convolution/conv2d 1x16x32x32": convolution(1, 16, 32),
        "convolution/conv2d 4x64x56x56": convolution(4, 64, 56),
        "convolution/max_pool 4x64x56x56": both(None, lambda x: F.max_pool2d(x, 2), lambda: numbers(4, 64, 56, 56)),
        "attention/8 heads of 64, 128 tokens": attention(128, False),
        "attention/8 heads of 64, 512 tokens": attention(512, False),
        "attention/8 heads of 64, 512 tokens, causal": attention(512, True),
        "quantization/int8 per row 1024x1024": both(quantize_numpy, quantize_torch, matrix),
        "quantization/ternary 1024x1024": both(ternary_numpy, ternary_torch, matrix),
        "quantization/4 bits, groups of 64, there and back 1024x1024": both(groups_numpy, groups_torch, matrix),
    }


def seconds(value):
    if value is None:
        return "–"
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if value * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def measure(options):
    """One table, in the number of threads that the environment asks for."""
    import torch

    threads = int(os.environ["BITNET_NUM_THREADS"])
    torch.set_num_threads(threads)
    ours, others = Ours(options.binary), workloads()
    names = ours.names()
    missing = set(names) ^ set(others)
    if missing:
        sys.exit(f"only on one side: {sorted(missing)}")
    print(f"\n### {threads} thread{'s' if threads > 1 else ''}\n")
    print("| workload | bitnet | NumPy | ratio | PyTorch | ratio |")
    print("|---|---|---|---|---|---|")
    for name in names:
        if options.filter not in name:
            continue
        numpy_call, torch_call = others[name]()
        times = {"ours": [], "numpy": [], "torch": []}
        for _ in range(options.rounds):
            times["ours"].append(ours.median(name, options.seconds))
            if numpy_call:
                times["numpy"].append(median(numpy_call, options.seconds))
            if torch_call:
                times["torch"].append(median(torch_call, options.seconds))
        mine, numpy, torch_ = (statistics.median(t) if t else None for t in times.values())
        ratio = lambda other: "–" if other is None else f"{other / mine:.2f}"
        cells = [name, seconds(mine), seconds(numpy), ratio(numpy), seconds(torch_), ratio(torch_)]
        print(f"| {' | '.join(cells)} |", flush=True)
    ours.process.stdin.close()
    ours.process.wait()


def main():
    options = parse()
    if options.measure:
        measure(options)
        return
    binary = options.binary or build()
    # The libraries read the number of threads once, when they start: a process for each.
    for threads in options.threads.split(","):
        variables = ["BITNET_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
        environment = {**os.environ, **dict.fromkeys(variables, threads)}
        command = [sys.executable, __file__, "--measure", "--binary", binary]
        command += ["--filter", options.filter, "--rounds", str(options.rounds)]
        command += ["--seconds", str(options.seconds)]
        subprocess.run(command, env=environment, check=True)


main()
