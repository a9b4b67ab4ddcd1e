# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "ml_dtypes==0.6.0"]
# ///
"""Tensors made from rules: what NumPy makes of the same.

    python crates/bitnet-testkit/scripts/goldens/creation.py
"""

import numpy as np

from common import bfloat16, case, dtype_name, integers, normal, save

FLOATS = [np.float32, np.float64, np.float16, bfloat16]
INTEGERS = [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64]
ALL = [*FLOATS, *INTEGERS, np.bool_]


def made(op, array, **attributes):
    case(op, [], [array], dtype=dtype_name(array.dtype), **attributes)


# Constants.
for dtype in ALL:
    for shape in [(), (0,), (3,), (2, 0, 3), (2, 1, 4)]:
        made("zeros", np.zeros(shape, dtype), shape=list(shape))
        made("ones", np.ones(shape, dtype), shape=list(shape))
    x = np.ones((2, 3), dtype)
    case("zeros_like", [x], [np.zeros_like(x)])
    case("ones_like", [np.zeros_like(x)], [x])
    case("full_like", [x], [np.zeros_like(x)], value=0)
    if dtype != np.bool_:
        case("full_like", [x], [np.full_like(x, 7)], value=7)

# Ranges: of numbers that every type holds, and of fractions.
for dtype in [*FLOATS, *INTEGERS]:
    ranges = [(0, 5, 1), (2, 11, 3), (5, 5, 1), (7, 2, 1), (0, 1, 5), (100, 121, 10)]
    if np.dtype(dtype).kind != "u":
        ranges += [(5, -4, -2), (-3, 4, 2), (0, -1, -7)]
    for start, end, step in ranges:
        made("arange", np.arange(start, end, step, np.float64).astype(dtype), start=start, end=end, step=step)
for dtype in [np.float32, np.float64]:
    for start, end, step in [(0, 1, 0.1), (-1.5, 1.5, 0.375), (1, 0, -0.3), (0.5, 0.25, 1)]:
        # The numbers of the operand's type, as the library is given them.
        start, end, step = (float(dtype(x)) for x in (start, end, step))
        made("arange", (start + np.arange(int(max(0, np.ceil((end - start) / step)))) * step).astype(dtype),
             start=start, end=end, step=step)
for dtype in [*FLOATS, np.int32, np.int8]:
    for start, end, count in [(0, 10, 5), (-3, 3, 7), (2, 2, 3), (5, -5, 4), (1, 9, 1), (1, 9, 0), (0, 1, 2)]:
        made("linspace", np.linspace(start, end, count).astype(dtype), start=start, end=end, count=count)
for dtype in FLOATS:
    for start, end, count, base in [(0, 3, 4, 2), (-2, 2, 5, 10), (0, 1, 1, 3), (1, 2, 0, 10)]:
        made("logspace", np.logspace(start, end, count, base=base).astype(dtype),
             start=start, end=end, count=count, base=base)

# Patterns.
for dtype in ALL:
    for rows, columns, k in [(3, 3, 0), (2, 4, 1), (4, 2, -1), (3, 3, 5), (3, 3, -5), (0, 3, 0), (3, 0, 1), (1, 1, 0)]:
        made("eye_rectangular", np.eye(rows, columns, k, dtype), rows=rows, columns=columns, k=k)
        made("tri", np.tri(rows, columns, k, dtype), rows=rows, columns=columns, k=k)
    made("eye", np.eye(3, dtype=dtype), n=3)
    for k in [-2, 0, 1]:
        if dtype == np.bool_:
            line, square = np.array([True, False, True]), integers(np.uint8, 3, 4) > 127
        elif np.dtype(dtype).kind in "iu":
            line, square = integers(dtype, 3, low=0, high=99), integers(dtype, 3, 4, low=0, high=99)
        else:
            line, square = normal(3, dtype=dtype), normal(3, 4, dtype=dtype)
        case("diag", [line], [np.diag(line, k)], k=k)
        case("diag", [square], [np.diag(square, k)], k=k)
        case("diag", [line[:0]], [np.diag(line[:0], k)], k=k)

save("creation")
