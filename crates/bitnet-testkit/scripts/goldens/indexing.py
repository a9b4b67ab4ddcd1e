# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "ml_dtypes==0.6.0"]
# ///
"""Index expressions, read and written: what NumPy makes of them.

    python crates/bitnet-testkit/scripts/goldens/indexing.py

An expression is a list of texts: a number, `start:stop:step`, `None`, `...`, or `t` for the next
operand, an index tensor.
"""

from itertools import count

import numpy as np

from common import bfloat16, case, save

S = np.s_
x = np.arange(120, dtype=np.int32).reshape(2, 3, 4, 5)
vector = np.arange(7, dtype=np.float32)
empty = np.zeros((0, 3), dtype=np.float64)
scalar = np.float32(2.5)
turn = count()


def text(entry):
    if isinstance(entry, slice):
        shown = lambda n: "" if n is None else str(n)
        return f"{shown(entry.start)}:{shown(entry.stop)}:{shown(entry.step)}"
    if entry is Ellipsis:
        return "..."
    if isinstance(entry, np.ndarray):
        return "t"
    return str(entry)


def both(array, expression):
    """`array[expression]`, and the array with other values there: as many, or fewer that broadcast."""
    entries = expression if isinstance(expression, tuple) else (expression,)
    tensors = [entry for entry in entries if isinstance(entry, np.ndarray)]
    index = [text(entry) for entry in entries]
    array = np.asarray(array)
    got = array[entries]
    case("index", [array, *tensors], [got], index=index)
    new = (100 - np.arange(got.size)).reshape(got.shape).astype(array.dtype)
    if got.ndim and next(turn) % 2:
        new = new.max(0, keepdims=True, initial=0)
    written = array.copy()
    written[entries] = new
    case("set_index", [array, *tensors, new], [written], index=index)


# Numbers, ranges, new axes.
for expression in [
    S[0], S[-1], S[1, 2, 3, 4], S[-2, -3, -4, -5], S[:, 0], S[:, :, -1], S[..., 0], S[..., 1, :], S[0, ..., 4],
    S[:], S[...], S[()], S[:, ...], S[..., :, :, :, :], S[1:], S[:1], S[:, 1:3], S[:, -2:], S[:, :-1], S[:, 5:], S[:, -9:2],
    S[:, 2:1], S[..., ::2], S[..., 1::2], S[..., ::-1], S[..., ::-2], S[..., 3:0:-1], S[..., 3:0:-2], S[..., -1:-4:-1],
    S[..., 9:-9:-3], S[..., 0:3:-1], S[..., :2:-1], S[..., 2::-1], S[..., 1:2:7], S[..., ::100], S[..., ::-100],
    S[None], S[..., None], S[:, None, 1], S[None, ..., None], S[0, None, None, 1:], S[None, 0, 1, None, 2, 3, None],
    S[1:, ::-1, 1:3, -2::-2],
]:
    both(x, expression)
for expression in [S[2:5], S[-3:], S[::-3], S[100:], S[:-100], S[-100:100:3], S[6], S[:, None]]:
    both(vector, expression)
for expression in [S[:], S[:, 1], S[::-1, ::2], S[1:5], S[..., None]]:
    both(empty, expression)
for expression in [S[()], S[...], S[None], S[..., None, None]]:
    both(scalar, expression)

# Index tensors: one, several, beside numbers, apart from each other.
i = np.array([1, 0, -1])
j = np.array([[0, -2], [2, 1]])
one = np.array([2, -1, 0, 0])
for expression in [
    S[i], S[:, i], S[..., i], S[:, j], S[..., j, :], S[i, 1], S[1, i], S[:, i, i], S[:, i, :, i], S[i, :, i], S[..., i, i],
    S[i[:, None], i], S[:, j, j], S[j % 2, j], S[0, :, i], S[i, ..., 0], S[:, 0, i], S[:, i, 0, :], S[None, i], S[i, None],
    S[i, None, i], S[:, i, ..., i], S[:, one, 1:3], S[:, one, ::-1, None], S[1:, i, :, 2], S[:, i[:0]],
    S[np.array(1)], S[:, np.array(-1), i], S[i[:1], j, 0, 1], S[..., i, 0], S[0, ..., i], S[i, 0, ..., 0], S[:, :, i, i, None],
]:
    both(x, expression)
for kind in [np.uint8, np.int16, np.uint32]:
    both(vector, S[np.array([[6, 0], [3, 1]], dtype=kind)])
both(vector, S[i[:0]])
both(empty, S[:, i])
both(empty, S[np.zeros((2, 0), np.int64)])

# Masks, of one axis and of several, beside others.
rows, plane, all_axes = np.array([False, True, True]), x[0] % 7 < 3, x % 11 < 4
for expression in [
    S[all_axes], S[:, rows], S[0, plane], S[..., plane[0, 0, :]], S[:, rows & False], S[:, plane[:, :, 0]],
    S[:, rows, i[:2]], S[i[:2], rows], S[:, rows, :, i[:2]], S[:, rows, None, 1:], S[0, rows, :, 0], S[np.array(True)], S[np.array(False), 0],
]:
    both(x, expression)
both(vector, S[vector > 3])
both(scalar, S[np.array(True)])

# Every type.
for dtype in [np.bool_, np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int64, np.float16, bfloat16, np.float64]:
    both((np.arange(12) % 5).reshape(4, 3).astype(dtype), S[::-2, 1:])
    both((np.arange(12) % 5).reshape(4, 3).astype(dtype), S[i, 1:])

save("indexing")
