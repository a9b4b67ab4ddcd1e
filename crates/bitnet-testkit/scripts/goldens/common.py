"""What the scripts of all families share: how a case is written.

A case is an operation, its attributes, operands and results, one line of JSON each; floats are
written as the decimal number that reads back as the same float. A family's script ends with
`save("family")`. Keep the files small: a few hundred kilobytes say as much as megabytes.
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np

FOLDER = Path(__file__).parent.parent.parent / "goldens"
LIMIT = 400_000  # bytes of one file

rng = np.random.default_rng(20261124)
bfloat16 = ml_dtypes.bfloat16
_cases = []


def number(x):
    if isinstance(x, (bool, np.bool_, int, np.integer)):
        return int(x)
    x = float(x)
    if np.isnan(x):
        return "nan"
    if np.isinf(x):
        return "inf" if x > 0 else "-inf"
    return x


def dtype_name(dtype):
    """The library's name of a NumPy type."""
    names = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64", "bool": "bool"}
    name = np.dtype(dtype).name
    return names.get(name) or name.replace("uint", "u").replace("int", "i")


def tensor(array):
    array = np.asarray(array)
    kind = dtype_name(array.dtype)
    if kind in ("f16", "bf16"):
        array = array.astype(np.float32)
    values = [number(x) for x in array.ravel()]
    if kind == "f64":
        # As text: JSON readers may lose the last bit of a float64.
        values = [repr(x) if isinstance(x, float) else x for x in values]
    elif kind in ("f32", "f16", "bf16"):
        # The shortest decimal that reads back as the same f32.
        values = [float(str(np.float32(x))) if isinstance(x, float) else x for x in values]
    return {"dtype": kind, "shape": list(array.shape), "values": values}


def case(op, inputs, outputs, **attributes):
    entry = {"op": op, "inputs": [tensor(x) for x in inputs], "outputs": [tensor(x) for x in outputs]}
    entry.update(attributes)
    _cases.append(entry)


def normal(*shape, dtype=np.float32, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def integers(dtype, *shape, low=None, high=None):
    limits = np.iinfo(dtype)
    low, high = limits.min if low is None else low, limits.max if high is None else high
    return rng.integers(low, high, shape, dtype=dtype, endpoint=True)


def save(family):
    text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in _cases)
    assert len(text) < LIMIT, f"{family}: {len(text)} bytes, more than {LIMIT}"
    (FOLDER / f"{family}.json").write_text(f"[\n{text}\n]\n")
    print(f"{family}: {len(_cases)} cases, {len(text)} bytes")
