"""Files as NumPy writes them: `.npy` of every type, order and version, `.npz` stored and deflated.

    pip install numpy==2.4.6 ml_dtypes==0.6.0
    python files.py

Writes `goldens/files.json`: each file in hexadecimal, with the type, the shape and the elements
that it holds (row-major, little-endian, hexadecimal).
"""

import io
import json
import warnings

import numpy as np

from common import FOLDER, bfloat16, dtype_name, rng

TYPES = [np.bool_, np.uint8, np.int8, np.uint16, np.int16, np.float16, bfloat16, np.uint32,
         np.int32, np.float32, np.uint64, np.int64, np.float64]
_files = []


def elements(array):
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return array.astype(array.dtype.newbyteorder("<")).tobytes().hex()


def described(array):
    dtype = np.dtype(array.dtype).newbyteorder("=")
    return {"dtype": dtype_name(dtype), "shape": list(array.shape), "elements": elements(array)}


def npy(name, array, version=None):
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(out, array, version=version, allow_pickle=False)
    _files.append({"kind": "npy", "name": name, "file": out.getvalue().hex(), **described(array)})


def npz(name, save, **arrays):
    out = io.BytesIO()
    save(out, **arrays)
    entries = [{"name": key, **described(array)} for key, array in arrays.items()]
    _files.append({"kind": "npz", "name": name, "file": out.getvalue().hex(), "arrays": entries})


def random(dtype, shape):
    size = np.dtype(dtype).itemsize
    if dtype is np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    # Bits without NaN: their payload is kept, but not every conversion of NumPy's keeps it.
    count = int(np.prod(shape, dtype=np.int64))
    if np.dtype(dtype).kind in "iu":
        return np.frombuffer(rng.bytes(count * size), dtype).reshape(shape)
    return rng.standard_normal(shape).astype(dtype)


for dtype in TYPES:
    for shape in [(), (3,), (2, 3), (0, 4)]:
        npy(f"{dtype_name(dtype)}{list(shape)}", random(dtype, shape))
    if dtype is not bfloat16:
        swapped = random(dtype, (2, 3)).astype(np.dtype(dtype).newbyteorder(">"))
        npy(f"{dtype_name(dtype)} big-endian", swapped)
for dtype in (np.int16, np.float32):
    npy(f"{dtype_name(dtype)} fortran", np.asfortranarray(random(dtype, (2, 3, 4))))
    swapped = random(dtype, (3, 2)).astype(np.dtype(dtype).newbyteorder(">"))
    npy(f"{dtype_name(dtype)} fortran big-endian", np.asfortranarray(swapped))
npy("fortran without elements", np.asfortranarray(random(np.float64, (3, 0))))
npy("many axes", random(np.uint8, (1, 2, 1, 2, 1, 2, 1, 1, 1, 1)))
npy("specials", np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]))
for version in [(1, 0), (2, 0), (3, 0)]:
    npy(f"version {version[0]}.{version[1]}", random(np.int32, (2, 2)), version)
many = {"weight": random(np.float32, (2, 3)), "bias": random(np.float64, ()),
        "a/b.c": np.asfortranarray(random(np.int8, (2, 2))), "empty": random(np.uint16, (0,)),
        "mask": random(np.bool_, (5,))}
npz("stored", np.savez, **many)
npz("deflated", np.savez_compressed, **many, zeros=np.zeros((20, 20)))
npz("without arrays", np.savez)

text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in _files)
(FOLDER / "files.json").write_text(f"[\n{text}\n]\n")
print(f"files: {len(_files)} files, {len(text)} bytes")
