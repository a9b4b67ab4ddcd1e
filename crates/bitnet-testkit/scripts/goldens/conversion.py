# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "ml_dtypes==0.6.0"]
# ///
"""Conversions between every two types, where NumPy defines them.

    python crates/bitnet-testkit/scripts/goldens/conversion.py

Floats that an integer type does not hold are the platform's in NumPy; what the library makes of
them (saturation, 0 for NaN) is in `crates/bitnet-tensor/tests/casting.rs`.
"""

import numpy as np

from common import bfloat16, case, dtype_name, integers, save

np.seterr(all="ignore")

FLOATS = [np.float16, bfloat16, np.float32, np.float64]
INTEGERS = [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64]


def is_integer(dtype):
    return np.dtype(dtype).kind in "iu"


def operand(source, target):
    if source == np.bool_:
        return np.array([True, False])
    if is_integer(source):
        limits = np.iinfo(source)
        ends = np.array([limits.min, limits.max, 0, 1, 100], source)
        return np.concatenate([ends, integers(source, 5)])
    if is_integer(target):
        values = np.array([0.0, -0.0, 0.5, 0.99, 1.5, 2.5, 100.75, 127.0])
        signed = np.iinfo(target).min < 0
        values = np.concatenate([values, [-0.5, -1.5, -100.75, -128.0] if signed else [-0.5, 255.0]])
    else:
        # Ties of the half types, the ends of their ranges, and what is smaller than they have.
        values = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 2049, 2051, 257, 259,
                           65504, 65519, 65520, 6e-8, 2.9e-8, 1e-40, -1e38, 3.3e38, 3.4e38])
    return values.astype(source)


for source in [np.bool_, *INTEGERS, *FLOATS]:
    for target in [np.bool_, *INTEGERS, *FLOATS]:
        x = operand(source, target)
        # A half type of the other kind is reached over float32, which holds both.
        y = x.astype(np.float32 if {source, target} == {np.float16, bfloat16} else x.dtype).astype(target)
        attributes = {"dtype": dtype_name(np.dtype(target))}
        if is_integer(source) and any(abs(int(n)) > 2**53 for n in (*x, *y) if np.isfinite(n)):
            attributes["beyond_f64"] = True
        case("to_dtype", [x], [y], **attributes)

save("conversion")
