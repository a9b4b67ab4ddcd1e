# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "scipy==1.17.1", "ml_dtypes==0.6.0"]
# ///
"""Products and decompositions of matrices: what NumPy and SciPy say of them.

    python crates/bitnet-testkit/scripts/goldens/linalg.py

Floats are computed in float64 and rounded once. Of decompositions only what is unique is compared;
the factors are tested by what they compose to.
"""

import numpy as np
from scipy import linalg

from common import bfloat16, case, integers, normal, rng, save

SHAPES = [((3, 4), (4, 2)), ((2, 3, 4), (4, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((3,), (3,)), ((3,), (3, 2)),
          ((2, 3), (3,)), ((2, 2, 3), (3,)), ((3,), (2, 3, 4)), ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((0,), (0,))]


def wide(x):
    return x.astype(np.float64) if x.dtype.kind not in "iu" else x


for a, b in SHAPES:
    for dtype in [np.float32, np.float64, np.float16, bfloat16]:
        x, y = normal(*a, dtype=dtype), normal(*b, dtype=dtype)
        case("matmul", [x, y], [np.matmul(wide(x), wide(y)).astype(dtype)])
    for dtype in [np.uint8, np.uint16, np.uint32, np.int8, np.int16, np.int32, np.int64]:
        limit = {"high": 2**20, "low": -2**20} if dtype == np.int64 else {}
        x, y = integers(dtype, *a, **limit), integers(dtype, *b, **limit)
        case("matmul", [x, y], [np.matmul(x, y)])
    x, y = integers(np.int8, *a), integers(np.int8, *b)
    case("matmul_i32", [x, y], [np.matmul(x.astype(np.int32), y.astype(np.int32))])
x, y = normal(2, 3), normal(3, 2, dtype=np.float64)
case("matmul", [x, y], [x @ y])

x, w = normal(2, 3, 6), normal(4, 6)
case("linear", [x, w], [(wide(x) @ wide(w).T).astype(np.float32)])
case("linear", [wide(x), wide(w)], [wide(x) @ wide(w).T])

for dtype in [np.float32, np.float64]:
    def result(op, inputs, outputs, **attributes):
        case(op, inputs, [np.asarray(y) if np.asarray(y).dtype.kind in "iu" else np.asarray(y, dtype) for y in outputs], **attributes)

    v, u = normal(5, dtype=dtype), normal(5, dtype=dtype)
    result("dot", [v, u], [wide(v) @ wide(u)])
    result("outer", [v, u[:3]], [np.outer(wide(v), wide(u[:3]))])
    x, y = normal(2, 3, dtype=dtype), normal(3, 2, dtype=dtype)
    for axes in [0, 1]:
        result("tensordot", [x, y], [np.tensordot(wide(x), wide(y), axes)], count=axes)
    x = normal(2, 3, dtype=dtype)
    result("tensordot", [x, x], [np.tensordot(wide(x), wide(x), 2)], count=2)
    for a, b, axes in [((2, 3, 4), (4, 3, 5), ([1, 2], [1, 0])), ((2, 3), (4,), ([], [])), ((2, 3), (3, 2), ([-1, 0], [0, 1]))]:
        x, y = normal(*a, dtype=dtype), normal(*b, dtype=dtype)
        result("tensordot", [x, y], [np.tensordot(wide(x), wide(y), axes)], first=axes[0], second=axes[1])
    for a, b in [((2, 3), (3, 2)), ((2,), (2, 3)), ((2, 1, 2), (3,)), ((0,), (2,))]:
        x, y = normal(*a, dtype=dtype), normal(*b, dtype=dtype)
        result("kron", [x, y], [np.kron(wide(x), wide(y))])
    x, y = normal(2, 3, dtype=dtype), normal(3, dtype=dtype)
    result("cross", [x, y], [np.cross(wide(x), wide(y))], axis=-1)
    for shape in [(3, 3), (2, 3, 4), (0, 0)]:
        x = normal(*shape, dtype=dtype)
        result("trace", [x], [np.trace(wide(x), axis1=-2, axis2=-1)])

    for spec, shapes in [
        ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("ba", [(2, 3)]), ("ii", [(3, 3)]), ("ii->i", [(3, 3)]),
        ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]), ("i...,i...", [(3, 2), (3, 1)]), ("ijk->", [(2, 3, 2)]),
        ("i,j,k->kij", [(2,), (3,), (2,)]), ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]), ("bij,bjk,bk->bi", [(2, 3, 2), (2, 2, 3), (2, 3)]),
        ("iij,jj->i", [(2, 2, 3), (3, 3)]), (" i j , j -> i ", [(2, 3), (3,)]), ("...", [(2, 3)]), ("i,i", [(0,), (0,)]),
        ("...ii->...", [(2, 3, 3)]), ("ij,ij->ij", [(2, 3), (2, 3)]), (",ij->ji", [(), (2, 3)]), ("a...b->b...a", [(2, 3, 4)]),
    ]:
        xs = [normal(*shape, dtype=dtype) for shape in shapes]
        result("einsum", xs, [np.einsum(spec, *map(wide, xs))], spec=spec)

    for spec, shapes in [("ij,jk->ki", [(2, 1), (3, 4)]), ("i,i->i", [(1,), (3,)])]:
        xs = [normal(*shape, dtype=dtype) for shape in shapes]
        result("einsum", xs, [np.einsum(spec, *map(wide, xs))], spec=spec)

    for shape in [(1, 1), (3, 3), (2, 4, 4), (7, 7), (0, 0), (0, 3, 3)]:
        n = shape[-1]
        a = (rng.standard_normal(shape) + 2 * np.eye(n) * np.sqrt(n)).astype(dtype)
        w = wide(a)
        spd = (w @ np.swapaxes(w, -1, -2) + np.eye(n)).astype(dtype)
        sym = ((w + np.swapaxes(w, -1, -2)) / 2).astype(dtype)
        result("det", [a], [np.linalg.det(w)])
        result("slogdet", [a], np.linalg.slogdet(w))
        result("inv", [a], [np.linalg.inv(w)])
        result("cholesky", [spd], [np.linalg.cholesky(wide(spd))], upper=False)
        result("cholesky", [spd], [np.swapaxes(np.linalg.cholesky(wide(spd)), -1, -2)], upper=True)
        result("svdvals", [a], [np.linalg.svd(w, compute_uv=False)])
        result("eigvalsh", [sym], [np.linalg.eigvalsh(wide(sym))])
        b = normal(*shape[:-1], 2, dtype=dtype)
        result("solve", [a, b], [np.linalg.solve(w, wide(b))])
        if n:
            result("matrix_exp", [(a / 4).astype(dtype)], [linalg.expm(wide((a / 4).astype(dtype)))])
            values = np.linalg.eigvals(w)
            values = np.take_along_axis(values, np.lexsort((values.imag, np.round(values.real, 10))), -1) if a.ndim == 2 else None
            if values is not None:
                result("eigvals", [a], [values.real, values.imag])
            for name, order in [] if n > 4 else [("fro", "fro"), ("nuc", "nuc"), ("1", 1), ("-1", -1), ("2", 2), ("-2", -2), ("inf", np.inf), ("-inf", -np.inf)]:
                result("matrix_norm", [a], [np.linalg.norm(w, order, axis=(-2, -1))], norm=name)
        for power in [-2, -1, 0, 1, 3] if n < 4 else [5]:
            result("matrix_power", [a], [np.linalg.matrix_power(w, power)], power=power)
        if a.ndim == 2 and n == 3:
            for upper in [False, True]:
                for transpose in [False, True]:
                    for unit in [False, True]:
                        x = linalg.solve_triangular(w, wide(b), trans=int(transpose), lower=not upper, unit_diagonal=unit)
                        result("triangular_solve", [a, b], [x], upper=upper, transpose=transpose, unit=unit)
            result("solve", [a, b[:, 0]], [np.linalg.solve(w, wide(b[:, 0]))])
    result("solve", [a := (normal(2, 1, 3, 3, dtype=dtype) + 4 * np.eye(3)).astype(dtype), b := normal(4, 3, 2, dtype=dtype)],
           [np.linalg.solve(wide(a), wide(b))])
    for shape in [(4, 3), (2, 3, 5), (3, 0), (0, 2)]:
        a = normal(*shape, dtype=dtype)
        result("pinv", [a], [np.linalg.pinv(wide(a))])
        result("svdvals", [a], [np.linalg.svd(wide(a), compute_uv=False)])
        if a.size:
            result("matrix_rank", [a], [np.asarray(np.linalg.matrix_rank(wide(a)), np.int64)])
            result("cond", [a], [np.linalg.cond(wide(a))])
    a, b = normal(6, 3, dtype=dtype), normal(6, 2, dtype=dtype)
    x, residuals, rank, s = np.linalg.lstsq(wide(a), wide(b))
    result("lstsq", [a, b], [x, residuals, np.int64(rank), s])
    singular = np.array([[1, 2], [2, 4]], dtype)
    result("det", [np.zeros((2, 2), dtype)], [0.0])
    result("slogdet", [np.zeros((2, 2), dtype)], [0.0, -np.inf])
    result("matrix_rank", [singular], [np.int64(1)])
    result("pinv", [singular], [np.linalg.pinv(wide(singular))])

for dtype in [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint32]:
    limit = {"high": 2**10, "low": -2**10} if dtype == np.int64 else {}
    x, y, z = integers(dtype, 2, 3, **limit), integers(dtype, 3, 3, **limit), integers(dtype, 3, **limit)
    case("einsum", [x, y, z], [np.einsum("ij,jk,k->i", x, y, z)], spec="ij,jk,k->i")
    case("einsum", [y], [np.einsum("ij->j", y)], spec="ij->j")
    case("einsum", [y], [np.einsum("ii->i", y)], spec="ii->i")
    case("dot", [z, z], [np.dot(z, z)])
    case("outer", [z, z], [np.outer(z, z)])
    case("kron", [z, y], [np.kron(z, y)])
    case("tensordot", [x, y], [np.tensordot(x, y, 1)], count=1)
    case("trace", [y], [np.trace(y)])
    case("matrix_power", [y], [np.linalg.matrix_power(y, 3)], power=3)
for dtype in [np.float16, bfloat16]:
    x, y = normal(2, 3, dtype=dtype), normal(3, 2, dtype=dtype)
    case("einsum", [x, y], [np.einsum("ij,jk->ki", wide(x), wide(y)).astype(dtype)], spec="ij,jk->ki")
    case("outer", [x, y], [np.outer(wide(x), wide(y)).astype(dtype)])
    case("kron", [x, y], [np.kron(wide(x), wide(y)).astype(dtype)])

# Quantizers. activation: scale = 127 / max|x|.clamp(1e-5), round half to even, clamp;
# weight: scale = 1 / mean|w|.clamp(1e-5).
x = np.concatenate([normal(3, 10), np.zeros((1, 10), np.float32), np.arange(-5, 5, dtype=np.float32)[None] / 2])
largest = np.maximum(np.abs(x).max(-1, keepdims=True), np.float32(1e-5))
codes = np.clip(np.round(x * (np.float32(127) / largest)), -128, 127).astype(np.int8)
w = np.round(rng.uniform(-1, 1, (8, 10)) * 64).astype(np.float32) / np.float32(64)
mean = np.float32(max(np.abs(w.astype(np.float64)).mean(), 1e-5))
ternary = np.clip(np.round(w * (np.float32(1) / mean)), -1, 1)
sums = codes.astype(np.int64) @ ternary.astype(np.int64).T
y = sums.astype(np.float64) * (largest.astype(np.float64) / 127) * np.float64(mean)
case("ternary_linear", [x, w], [y.astype(np.float32)])
weight = integers(np.int8, 4, 10)
scales = np.abs(normal(4)) / np.float32(100)
y = (codes.astype(np.int64) @ weight.astype(np.int64).T) * (largest.astype(np.float64) / 127) * scales.astype(np.float64)
case("linear_int8", [x, weight, scales], [y.astype(np.float32)])

# Factors, with the signs that the library gives them: they are unique then.
def turned(columns):
    """−1 for columns whose largest element is negative."""
    at = np.argmax(np.abs(columns), -2)[..., None, :]
    return np.sign(np.take_along_axis(columns, at, -2))


for dtype in [np.float32, np.float64]:
    for shape in [(1, 1), (3, 3), (4, 2), (2, 5), (2, 3, 3), (0, 2, 2)]:
        n = min(shape[-2:])
        a = normal(*shape, dtype=dtype)
        a = (wide(a) + 2 * np.eye(*shape[-2:])).astype(dtype)
        w = wide(a)
        parts = [linalg.lu(m) for m in w.reshape(-1, *shape[-2:])]
        if parts:
            stacked = [np.stack(part).reshape(*shape[:-2], *part[0].shape) for part in zip(*parts)]
            case("lu", [a], [x.astype(dtype) for x in stacked])
        q, r = np.linalg.qr(w)
        sign = np.sign(np.diagonal(r, 0, -2, -1))
        case("qr", [a], [(q * sign[..., None, :]).astype(dtype), (r * sign[..., None]).astype(dtype)], complete=False)
        if shape[-2] <= shape[-1]:
            case("qr", [a], [(q * sign[..., None, :]).astype(dtype), (r * sign[..., None]).astype(dtype)], complete=True)
        u, s, vt = np.linalg.svd(w, full_matrices=False)
        sign = turned(u) if u.size else np.ones((*shape[:-2], 1, n))
        case("svd", [a], [(u * sign).astype(dtype), s.astype(dtype), (vt * np.swapaxes(sign, -1, -2)).astype(dtype)])
        if shape[-1] == shape[-2]:
            sym = ((w + np.swapaxes(w, -1, -2)) / 2).astype(dtype)
            values, vectors = np.linalg.eigh(wide(sym))
            vectors = vectors * turned(vectors) if vectors.size else vectors
            case("eigh", [sym], [values.astype(dtype), vectors.astype(dtype)])
    a = np.array([[1, -2, 0.25], [1.5, 2, 0.5], [0.125, -0.5, -3]], dtype)
    values, vectors = np.linalg.eig(wide(a))
    order = np.lexsort((values.imag, np.round(values.real, 10)))
    values, vectors = values[order], vectors[:, order]
    largest = vectors[np.argmax(np.round(np.abs(vectors), 10), 0), range(3)]
    vectors = vectors * np.conj(largest) / np.abs(largest)
    case("eig", [a], [x.astype(dtype) for x in (values.real, values.imag, vectors.real, vectors.imag)])

save("linalg")
