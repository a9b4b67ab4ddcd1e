"""Operations of the GPU backend beside PyTorch on the same GPU, in one run.

    cargo build --release -p bitnet-wgpu --example throughput
    python3 benches/gpu_families.py target/release/examples/throughput

Each program enqueues an operation as often as a tenth of a second needs and waits once; medians of
five. The ratio is PyTorch's time over ours: above 1, ours is the faster. PyTorch computes matrices of
f32 without TF32.
"""

import json
import statistics
import subprocess
import sys
import time

import torch


def measure(run):
    def once(count):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(count):
            run()
        torch.cuda.synchronize()
        return (time.perf_counter() - begun) / count

    once(3)
    count = int(min(max(0.1 / once(5), 5), 2000))
    return statistics.median(once(count) for _ in range(5))


def workloads():
    torch.backends.cuda.matmul.allow_tf32 = False
    device = "cuda"
    flat, other = torch.rand(1 << 24, device=device), torch.rand(1 << 24, device=device)
    square, row = torch.rand(4096, 4096, device=device), torch.rand(4096, device=device)
    a, b = torch.rand(2048, 2048, device=device), torch.rand(2048, 2048, device=device)
    half_a, half_b = a.half(), b.half()
    return {
        "add 16M": lambda: flat + other,
        "mul row 4096x4096": lambda: square * row,
        "add transposed 4096x4096": lambda: square + square.T,
        "exp 16M": lambda: torch.exp(flat),
        "softmax 4096x4096": lambda: torch.softmax(square, -1),
        "sum axis 0 4096x4096": lambda: square.sum(0),
        "sum axis 1 4096x4096": lambda: square.sum(1),
        "sum 16M": lambda: flat.sum(),
        "matmul f32 2048": lambda: a @ b,
        "matmul f16 2048": lambda: half_a @ half_b,
    }


def main():
    lines = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
    ours = {row["name"]: row for row in map(json.loads, lines.splitlines())}
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    print("| operation | ours us | GB/s | GFLOP/s | PyTorch us | ratio |\n|---|---|---|---|---|---|")
    for name, run in workloads().items():
        mine, theirs = ours[name], measure(run) * 1e6
        print(
            f"| {name} | {mine['microseconds']} | {mine['gigabytes_per_second']} "
            f"| {mine['gigaflops']} | {theirs:.1f} | {theirs / mine['microseconds']:.2f} |"
        )


if __name__ == "__main__":
    main()
