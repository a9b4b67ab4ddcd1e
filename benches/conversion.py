#!/usr/bin/env python3
"""How much memory and time it takes to convert a checkpoint, beside copying its file:
conversion.py [LAYERS] [DIRECTORY].

Writes a synthetic checkpoint of the shapes of BitNet b1.58 2B-4T with bf16 masters (30 layers:
4.8 GB; kept for the next run in DIRECTORY, by default target/conversion), builds the program,
and converts it to I2_S, TQ2_0 and Hugging Face's packed form, watching the anonymous memory of the
process. Copying is timed before each conversion, with the file in the page cache as the conversion
finds it, and is flushed to disk as the conversion is. Linux; needs Python alone.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 512 * 1000 * 1000


def copy_seconds(source, target):
    begin = time.perf_counter()
    shutil.copyfile(source, target)
    with open(target, "rb+") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - begin
    target.unlink()
    return seconds


def watched(command):
    """Seconds, and the most anonymous memory in bytes."""
    begin, most = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                most = max(most, int(line.split()[1]) * 1024)
        time.sleep(0.005)
    seconds = time.perf_counter() - begin
    if process.wait() != 0:
        sys.exit(f"{command} failed")
    return seconds, most


def main():
    layers = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "target" / "conversion"
    source = folder / f"bf16-{layers}"
    if not (source / "model.safetensors").exists():
        script = ROOT / "benches" / "synthetic_checkpoint.py"
        subprocess.run([sys.executable, script, source, str(layers), "--bf16"], check=True)
    program = os.environ.get("BITNET")
    if not program:
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
        program = ROOT / "target" / "release" / "bitnet"
    weights = source / "model.safetensors"
    size = weights.stat().st_size
    print(f"{size / 1e9:.2f} GB of bf16 masters, {layers} layers")
    weights.read_bytes() if size < 1 << 30 else subprocess.run(["cat", weights], stdout=subprocess.DEVNULL)
    for name, arguments in [("i2_s.gguf", []), ("tq2_0.gguf", ["--to", "tq2_0"]), ("packed", [])]:
        target = folder / name
        copying = copy_seconds(weights, folder / "copy")
        command = [program, "convert", source, target, "--overwrite", "--quiet", *arguments]
        seconds, memory = watched(command)
        report = {
            "to": name,
            "seconds": round(seconds, 2),
            "copy_seconds": round(copying, 2),
            "times_the_copy": round(seconds / copying, 2),
            "peak_anonymous_bytes": memory,
            "below_512_mb": memory < LIMIT,
        }
        print(json.dumps(report))
        shutil.rmtree(target) if target.is_dir() else target.unlink()


if __name__ == "__main__":
    main()
