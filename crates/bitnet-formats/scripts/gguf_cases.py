"""Writes the GGUF files that `tests/gguf_package.rs` reads and writes again byte for byte.

    pip install gguf==0.19.0 numpy==2.4.6
    python crates/bitnet-formats/scripts/gguf_cases.py

The files are kept in `tests/data/gguf/`; running the script again must not change them. That
`GGUFReader` reads them is asserted here, so that it reads what our writer writes: the same bytes.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "gguf"

# Its size in the package, 40 bytes, is not that of ggml's block_q8_1, 36; no file holds it.
LEFT_OUT = {GGMLQuantizationType.Q8_1}


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def values():
    """Every type of metadata value, alone and in arrays, and no tensor."""
    writer = GGUFWriter(FOLDER / "values.gguf", "llama")
    writer.add_uint8("test.u8", 255)
    writer.add_int8("test.i8", -128)
    writer.add_uint16("test.u16", 65535)
    writer.add_int16("test.i16", -32768)
    writer.add_uint32("test.u32", 2**32 - 1)
    writer.add_int32("test.i32", -(2**31))
    writer.add_uint64("test.u64", 2**64 - 1)
    writer.add_int64("test.i64", -(2**63))
    writer.add_float32("test.f32", -0.0)
    writer.add_float64("test.f64", 1e300)
    writer.add_bool("test.bool", True)
    writer.add_string("test.str", "ternär −1, 0, 1")
    writer.add_array("test.arr.i32", [1, -2, 3])
    writer.add_array("test.arr.f32", [0.5, float("inf")])
    writer.add_array("test.arr.bool", [True, False, True])
    writer.add_array("test.arr.str", ["<s>", "", "Ġa", "日本"])
    writer.add_array("test.arr.u8", bytes([0, 1, 255]))
    writer.add_key_value("test.arr.u64", [2**63, 7], GGUFValueType.ARRAY, GGUFValueType.UINT64)
    writer.add_array("test.arr.arr", [[1, 2], [3]])
    write(writer)


def tensors():
    """A tensor of every type that the package knows, of one to four dimensions."""
    random = np.random.default_rng(2024)
    writer = GGUFWriter(FOLDER / "tensors.gguf", "llama")
    for ty, (block_len, block_bytes) in gguf.GGML_QUANT_SIZES.items():
        if ty not in LEFT_OUT:
            data = random.integers(0, 256, (3, 2 * block_bytes), dtype=np.uint8)
            writer.add_tensor(f"{ty.name}.weight", data, raw_dtype=ty)
    writer.add_tensor("one", np.arange(5, dtype=np.float32))
    writer.add_tensor("three", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    writer.add_tensor("four", np.arange(24, dtype=np.float64).reshape(2, 1, 3, 4))
    write(writer)


def alignment():
    """An alignment of its own, set after other keys."""
    writer = GGUFWriter(FOLDER / "alignment.gguf", "llama")
    writer.add_name("aligned to 128")
    writer.add_custom_alignment(128)
    for i in range(3):
        writer.add_tensor(f"blk.{i}.bias", np.full(i + 1, i, dtype=np.float32))
    write(writer)


def shards():
    """A model in three files."""
    writer = GGUFWriter(FOLDER / "split.gguf", "llama", split_max_tensors=2)
    for i in range(5):
        writer.add_tensor(f"blk.{i}.bias", np.full(3, i, dtype=np.float16))
    write(writer)


FOLDER.mkdir(parents=True, exist_ok=True)
for case in [values, tensors, alignment, shards]:
    case()
for path in sorted(FOLDER.glob("*.gguf")):
    reader = GGUFReader(path)
    print(f"{path.name}: {path.stat().st_size} bytes, {len(reader.tensors)} tensors")
