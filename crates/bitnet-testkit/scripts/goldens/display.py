"""How PyTorch prints tensors.

    pip install torch==2.15.0 numpy==2.4.6 ml_dtypes==0.6.0
    python display.py

Writes `goldens/display.json`: an operand in a list, the options that are not the default, the text. PyTorch's
text with Rust's names: `f64` for `torch.float64`, `true` for `True`.
"""

import json

import numpy as np
import torch

from common import FOLDER, bfloat16, dtype_name, rng, tensor

TORCH = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
_cases = []


def case(array, view=None, **options):
    array = np.asarray(array)
    x = torch.from_numpy(array.astype(np.float32)).bfloat16() if array.dtype == bfloat16 \
        else torch.from_numpy(array.copy())
    torch.set_printoptions(profile="default", sci_mode=None)
    torch.set_printoptions(**options)
    text = str(x).replace("True", "true").replace("False", "false")
    name = dtype_name(array.dtype)
    full = TORCH.get(name, name.replace("i", "int").replace("u", "uint"))
    text = text.replace(f"torch.{full}", name).replace("torch.bool", "bool")
    assert "torch" not in text, text
    _cases.append({"inputs": [tensor(array)], "options": options, "text": text})


f32 = lambda *x: np.array(x, np.float32)

# Scalars.
for value in [0.0, -0.0, 1.0, 3.14159, -2.5, 1e9, 1e-5, 123456.0, np.nan, np.inf, -np.inf]:
    case(np.float32(value))
case(np.int64(-7)), case(np.int32(7)), case(np.bool_(True)), case(np.float64(2.5)), case(np.uint8(255))

# The choice between whole, fixed and scientific, at its borders.
case(f32(1, 2, 3)), case(f32(1, -20, 300)), case(f32(0.5, 1, 2)), case(f32(0, 0, 0))
case(f32(1, 1000)), case(f32(1, 1001)), case(f32(1.5, 1000)), case(f32(1.5, 2000))
case(f32(1e8)), case(f32(1.00001e8)), case(f32(1e8, 2e8)), case(f32(1e-4, 1e-3)), case(f32(9.9e-5, 1e-4))
case(np.array([1e-4, 1e-3])), case(np.array([1e-100, 1.0])), case(np.array([1e300, 5e299])), case(np.array([5e-324]))
case(f32(np.nan, 1, 2)), case(f32(np.inf, 1.5, -np.inf)), case(f32(np.nan, np.inf)), case(f32(1e10, np.nan, -1))
case(f32(-0.0, 1.25)), case(f32(-0.0, 3)), case(f32(0.00005, 0.00015)), case(f32(2.00005, 0.99995, 0.125))
case(np.array([0.12345, 0.12355, 1.00005, 2.5, 3.5], np.float64))

# All types.
for dtype in [np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint16, np.uint32, np.uint64]:
    limits = np.iinfo(dtype)
    case(np.array([[limits.min, 0, 1], [2, 100, limits.max]], dtype))
for dtype in [np.float16, bfloat16, np.float32, np.float64]:
    case((rng.standard_normal((2, 3))).astype(dtype))
case(np.array([65504, 1], np.float16)), case(np.array([3.4e38, 1], np.float32).astype(bfloat16))
case(np.array([[True, False], [False, False]]))

# Shapes.
case(rng.standard_normal((2, 2, 3)).astype(np.float32)), case(np.arange(16).reshape(2, 2, 2, 2))
case(np.arange(3).reshape(1, 3, 1)), case(np.arange(4).reshape(4, 1))
for shape in [(0,), (0, 3), (2, 0), (2, 0, 3)]:
    case(np.zeros(shape, np.float32)), case(np.zeros(shape, np.int64)), case(np.zeros(shape, bool))

# Lines that continue.
case(np.arange(40)), case(rng.standard_normal(30).astype(np.float32)), case(rng.standard_normal((2, 25)).astype(np.float32))
case(np.arange(11, dtype=np.int32)), case(np.arange(23, dtype=np.int16)), case(np.arange(22, dtype=np.int16))
case(rng.standard_normal((2, 11)).astype(np.float64)), case(np.arange(9) * 10**12), case(np.arange(30) % 2 == 0)

# Summaries.
case(np.arange(1001)), case(np.arange(1000).reshape(250, 4)[:30]), case(np.arange(2000).reshape(40, 50))
case(np.arange(1500, dtype=np.float32).reshape(3, 500)), case(np.arange(1100).reshape(2, 550) % 7 == 0)
case(np.arange(1331).reshape(11, 11, 11)), case(np.arange(1029).reshape(7, 7, 21)), case(np.arange(1200).reshape(200, 6))
odd = np.ones(1200, np.float32)
odd[600] = 1e9
case(odd)

# Options.
x = rng.standard_normal((3, 4)).astype(np.float32)
for precision in [0, 1, 2, 8]:
    case(x, precision=precision)
    case(x * 1e6, precision=precision)
for sci_mode in [True, False]:
    case(x, sci_mode=sci_mode), case(f32(1, 2, 3), sci_mode=sci_mode), case(f32(1e-6, 1), sci_mode=sci_mode)
    case(f32(1e20, 1), sci_mode=sci_mode), case(f32(np.nan, 0), sci_mode=sci_mode)
case(np.arange(10), threshold=5), case(np.arange(10), threshold=5, edgeitems=1), case(np.arange(6), threshold=5)
case(np.arange(10), threshold=5, edgeitems=0), case(np.arange(20).reshape(4, 5), threshold=5, edgeitems=1)
case(np.arange(20).reshape(4, 5), threshold=5, edgeitems=0), case(np.arange(3), edgeitems=0)
case(np.int64(3), threshold=0)
case(np.arange(1200), threshold=2000)
for linewidth in [1, 20, 40, 120]:
    case(x, linewidth=linewidth), case(np.arange(30, dtype=np.int32), linewidth=linewidth)

text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in _cases)
(FOLDER / "display.json").write_text(f"[\n{text}\n]\n")
print(f"display: {len(_cases)} cases, {len(text)} bytes")
