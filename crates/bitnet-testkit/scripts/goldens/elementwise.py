# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "torch==2.15.0", "mpmath==1.3.0", "ml_dtypes==0.6.0"]
# ///
"""Functions of elements with the same place in every operand: what NumPy and PyTorch say of them.

    python crates/bitnet-testkit/scripts/goldens/elementwise.py

Elementary functions are computed by mpmath with 60 digits and rounded once to the type of the
operand, and so are activations, by their formulas; this script stops when PyTorch's float64
differs. What a function makes of infinities, NaN and numbers that it is not defined for is NumPy's
or PyTorch's word. Arithmetic is NumPy's of the operand's own type; of the half types, NumPy's of
float32 rounded once. A case with `beyond_f64` has integers that the reference, which computes in
float64, does not hold.
"""

import mpmath
import numpy as np
import torch
import torch.nn.functional as F
from mpmath import mpf

from common import bfloat16, case, integers, rng, save

mpmath.mp.dps = 60
np.seterr(all="ignore")

FLOATS = [np.float32, np.float64, np.float16, bfloat16]
INTEGERS = [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64]

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 1e-40, -1e-40, 1e-20, 1e20,
           -1e20, 88.7, 89.0, -88.0, -104.0, 3e38, -3e38, 16.5, -3.0, 2.5, -2.5]


def few(count, low, high):
    """Numbers with few digits, so that the file stays small."""
    return np.round(rng.uniform(low, high, count), 3)


def samples(dtype):
    values = np.concatenate([SPECIAL, few(6, -1, 1), few(4, -8, 8), few(1, 8, 80)])
    if dtype == np.float64:
        values = np.concatenate([values[[1, 2, 3, 4, 6, 11, 13, *range(20, 35)]], [1e300, -1e300, 1e-310, 709.5, -745.0]])
    if dtype in (np.float16, bfloat16):
        values = values[[1, 2, 3, 4, 6, 9, 12, 15, 20, 22, *range(24, 35)]]
    return values.astype(dtype)


def exact(formula, x, fallback):
    """The formula with 60 digits; the fallback's number where the formula has none."""
    fallback = np.asarray(fallback, np.float64)
    y = fallback.copy()
    for n, value in enumerate(x.astype(np.float64)):
        if not np.isfinite(value) or not np.isfinite(fallback[n]):
            continue
        result = formula(mpf(float(value)))
        if result == 0:
            continue  # which of the zeros
        y[n] = float(result)
        close = abs(y[n] - fallback[n]) <= 1e-9 * max(1, abs(y[n]))
        assert close, f"{formula} of {value}: {y[n]}, elsewhere {fallback[n]}"
    return y


def unary(name, formula, function, dtypes=FLOATS, **attributes):
    """`function` computes on a float64 array of NumPy."""
    for dtype in dtypes:
        x = samples(dtype)
        y = exact(formula, x, function(x.astype(np.float64))).astype(dtype)
        case(name, [x], [y], **attributes)
    scalar = np.float32(0.75)
    y = exact(formula, scalar.reshape(1), function(np.array([0.75])))
    case(name, [scalar], [y.astype(np.float32).reshape(())], **attributes)
    empty = np.zeros((0, 3), np.float32)
    case(name, [empty], [empty], **attributes)


def torchs(function):
    return lambda x: function(torch.from_numpy(x)).numpy()


# Functions of mathematics.
def erfc(x):
    return mpmath.erfc(x) if x < 1000 else mpf(0)


def sign(x):
    return mpf(int(x > 0) - int(x < 0))


for name, formula, function in [
    ("neg", lambda x: -x, np.negative), ("abs", abs, np.abs), ("sign", sign, np.sign),
    ("square", lambda x: x * x, np.square), ("sqrt", mpmath.sqrt, np.sqrt),
    ("rsqrt", lambda x: 1 / mpmath.sqrt(x), lambda x: 1 / np.sqrt(x)),
    ("reciprocal", lambda x: 1 / x, lambda x: 1 / x), ("exp", mpmath.exp, np.exp),
    ("exp2", lambda x: mpf(2) ** x, np.exp2), ("expm1", mpmath.expm1, np.expm1),
    ("log", mpmath.log, np.log), ("log2", lambda x: mpmath.log(x, 2), np.log2),
    ("log10", mpmath.log10, np.log10), ("log1p", mpmath.log1p, np.log1p),
    ("sin", mpmath.sin, np.sin), ("cos", mpmath.cos, np.cos), ("tan", mpmath.tan, np.tan),
    ("asin", mpmath.asin, np.arcsin), ("acos", mpmath.acos, np.arccos),
    ("atan", mpmath.atan, np.arctan), ("sinh", mpmath.sinh, np.sinh),
    ("cosh", mpmath.cosh, np.cosh), ("tanh", mpmath.tanh, np.tanh),
    ("asinh", mpmath.asinh, np.arcsinh), ("acosh", mpmath.acosh, np.arccosh),
    ("atanh", mpmath.atanh, np.arctanh), ("erf", mpmath.erf, torchs(torch.erf)),
    ("erfc", erfc, torchs(torch.erfc)), ("floor", mpmath.floor, np.floor),
    ("ceil", mpmath.ceil, np.ceil), ("round", mpmath.nint, np.round),
    ("trunc", lambda x: mpf(int(x)), np.trunc),
]:
    unary(name, formula, function)


# Activations: the formulas in the documentation of PyTorch.
def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def clip(x, low, high):
    return min(max(x, mpf(low)), mpf(high))


def gelu_tanh(x):
    u = mpmath.sqrt(2 / mpmath.pi) * (x + mpf(0.044715) * x**3)
    return x * sigmoid(2 * u)


def below(x, negative):
    return x if x > 0 else negative(x)


SELU_ALPHA, SELU_SCALE = mpf("1.6732632423543772848170429916717"), mpf("1.0507009873554804934193349852946")

for name, formula, function, attributes in [
    ("relu", lambda x: max(x, mpf(0)), F.relu, {}), ("relu6", lambda x: clip(x, 0, 6), F.relu6, {}),
    ("relu_squared", lambda x: max(x, mpf(0)) ** 2, lambda x: F.relu(x) ** 2, {}),
    ("leaky_relu", lambda x: below(x, lambda x: mpf(0.125) * x), lambda x: F.leaky_relu(x, 0.125), {"slope": 0.125}),
    ("elu", lambda x: below(x, lambda x: mpf(1.5) * mpmath.expm1(x)), lambda x: F.elu(x, 1.5), {"alpha": 1.5}),
    ("celu", lambda x: below(x, lambda x: mpf(1.5) * mpmath.expm1(x / mpf(1.5))), lambda x: F.celu(x, 1.5), {"alpha": 1.5}),
    ("selu", lambda x: SELU_SCALE * below(x, lambda x: SELU_ALPHA * mpmath.expm1(x)), F.selu, {}),
    ("gelu", lambda x: x * erfc(-x / mpmath.sqrt(2)) / 2, F.gelu, {}),
    ("gelu_tanh", gelu_tanh, lambda x: F.gelu(x, approximate="tanh"), {}),
    ("silu", lambda x: x * sigmoid(x), F.silu, {}),
    ("mish", lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), F.mish, {}),
    ("sigmoid", sigmoid, torch.sigmoid, {}),
    ("log_sigmoid", lambda x: -mpmath.log1p(mpmath.exp(-x)), F.logsigmoid, {}),
    ("hard_sigmoid", lambda x: clip(x / 6 + mpf(0.5), 0, 1), F.hardsigmoid, {}),
    ("hard_swish", lambda x: x * clip(x / 6 + mpf(0.5), 0, 1), F.hardswish, {}),
    ("hard_tanh", lambda x: clip(x, -1, 1), F.hardtanh, {}),
    ("softplus", lambda x: mpmath.log1p(mpmath.exp(x)), F.softplus, {}),
    ("softsign", lambda x: x / (1 + abs(x)), F.softsign, {}),
]:
    unary(name, formula, torchs(function), **attributes)


# Integers: the ends of the range wrap around.
def ends(dtype, *shape):
    x = integers(dtype, *shape)
    limits = np.iinfo(dtype)
    x.ravel()[: min(x.size, 4)] = np.array([limits.min, limits.max, 0, 1], dtype)[: x.size]
    return x


def small(dtype, *shape):
    return integers(dtype, *shape, low=max(np.iinfo(dtype).min, -100), high=100)


def on_integers(op, function, *operands, **attributes):
    """Also with the ends of the 64-bit types, where the reference cannot follow."""
    y = np.asarray(function(*operands))
    numbers = [int(n) for x in (*operands, y) for n in np.asarray(x).ravel()]
    if any(abs(n) > 2**53 for n in numbers):
        attributes["beyond_f64"] = True
    case(op, operands, [y], **attributes)


for name, function in [
    ("neg", np.negative), ("abs", np.abs), ("sign", np.sign), ("square", np.square),
    ("floor", np.floor), ("ceil", np.ceil), ("round", np.round), ("trunc", np.trunc),
    ("relu", lambda x: np.maximum(x, x.dtype.type(0))),
]:
    for dtype in INTEGERS:
        on_integers(name, function, ends(dtype, 7))
        if dtype == np.int64:
            on_integers(name, function, small(dtype, 2, 3))


# Functions of two elements.
PAIRS = [0.0, -0.0, 1.0, -1.0, 2.5, -3.0, 1e-40, 3e38, -1e20, np.inf, -np.inf, np.nan]


def computed(function, a, b):
    """In the type of the operands; the half types in float32, rounded once."""
    if a.dtype in (np.float16, bfloat16):
        y = function(a.astype(np.float32), b.astype(np.float32))
        return y if y.dtype == np.bool_ else y.astype(a.dtype)
    return function(a, b)


def in_f64(function):
    """In float64, rounded once."""
    def rounded(a, b):
        return function(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)
    return rounded


ARITHMETIC = [("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide),
              ("maximum", np.maximum), ("minimum", np.minimum), ("floor_div", np.floor_divide),
              ("rem", np.remainder), ("fmod", np.fmod), ("pow", in_f64(np.power)),
              ("atan2", in_f64(np.arctan2)), ("hypot", in_f64(np.hypot)), ("copysign", np.copysign)]
BITS = [("bitand", np.bitwise_and), ("bitor", np.bitwise_or), ("bitxor", np.bitwise_xor),
        ("shl", np.left_shift), ("shr", np.right_shift)]
COMPARISONS = [("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal),
               ("gt", np.greater), ("ge", np.greater_equal)]

for name, function in ARITHMETIC + COMPARISONS:
    for dtype in FLOATS:
        pairs = PAIRS if dtype == np.float32 else PAIRS[1::2]
        a, b = np.array(pairs).astype(dtype)[:, None], np.array(pairs).astype(dtype)[None]
        case(name, [a, b], [computed(function, a, b)])
        a, b = few(6, -9, 9).astype(dtype).reshape(2, 3), few(3, -3, 3).astype(dtype)
        if name == "pow":
            a = np.abs(a)
        case(name, [a, b], [computed(function, a, b)])
    for a, b in [((2, 1, 3), (2, 1)), ((), (2,)), ((), ()), ((0, 3), (3,)), ((2, 0), (1, 1))]:
        a, b = (np.asarray(few(int(np.prod(s)), 0.1, 3)).reshape(s).astype(np.float32) for s in (a, b))
        case(name, [a, b], [np.asarray(computed(function, a, b))])

for name, function in ARITHMETIC + BITS + COMPARISONS:
    if name in ("div", "atan2", "hypot", "copysign"):
        continue
    function = {"pow": np.power}.get(name, function)
    for dtype in INTEGERS:
        a, b = ends(dtype, 2, 4), ends(dtype, 4)
        if name in ("floor_div", "rem", "fmod"):
            b[b == 0] = 3
            if np.iinfo(dtype).min < 0:
                b[-1] = -1
        if name == "pow":
            b = integers(dtype, 4, low=0, high=9)
        if name in ("shl", "shr"):
            # From the width of the type on, too.
            b = np.array([0, 3, np.iinfo(dtype).bits - 1, 100], dtype)
        on_integers(name, function, a, b)
        if dtype in (np.int64, np.uint64):
            a, b = small(dtype, 3, 1), np.array([1, 2, 3, 5], dtype)
            on_integers(name, function, a, b)
for name, function in BITS[:3] + COMPARISONS:
    a, b = np.array([[False], [True]]), np.array([False, True])
    case(name, [a, b], [function(a, b)])

# Promotion: every pair of types that the Python array API standard gives a common type.
for first in FLOATS + INTEGERS:
    for second in FLOATS + INTEGERS:
        kinds = {np.dtype(t).kind in "iu" for t in (first, second)}
        if len(kinds) == 2:
            continue
        if {first, second} == {np.float16, bfloat16}:
            common = np.float32
        else:
            common = np.promote_types(first, second)
        if np.dtype(common).kind == "f" and True in kinds:
            continue  # uint64 with a signed integer
        make = lambda t: small(t, 2) if True in kinds else few(2, -9, 9).astype(t)
        a, b = make(first), make(second)
        case("add", [a, b], [a.astype(common) + b.astype(common)])
        if second in (np.int16, np.float64):
            case("lt", [a, b], [a.astype(common) < b.astype(common)])

# Logic: what is not zero is true.
LOGIC = [("logical_and", np.logical_and), ("logical_or", np.logical_or), ("logical_xor", np.logical_xor)]
operands = [np.array([0, 2, 0, 255], np.uint8), np.array([0, 0, -1, 5], np.int64),
            np.array([0.0, -0.0, np.nan, 1e-40], np.float32), np.array([True, False, True, False]),
            np.array([0.0, 0.25, np.inf, 0.0], np.float16)]
for name, function in LOGIC:
    for a in operands:
        for b in operands:
            case(name, [a[:, None], b], [function(a[:, None], b)])
for x in operands:
    case("logical_not", [x], [np.logical_not(x)])
for dtype in INTEGERS:
    on_integers("bitnot", np.bitwise_not, ends(dtype, 5))
case("bitnot", [np.array([True, False])], [np.array([False, True])])
for name, function in [("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite)]:
    for dtype in FLOATS:
        x = np.array(PAIRS).astype(dtype)
        case(name, [x], [function(x.astype(np.float64))])
    for dtype in INTEGERS:
        x = small(dtype, 2)
        case(name, [x], [function(x)])
    x = np.array([True, False])
    case(name, [x], [function(x)])

# Choices and blends.
condition = np.array([[True, False, True], [False, False, True]])
for dtype in FLOATS + INTEGERS + [np.bool_]:
    a, b = (integers(np.int8, *s, low=0).astype(dtype) for s in [(3,), (2, 1)])
    case("where", [condition, a, b], [np.where(condition, a, b)])
    case("masked_fill", [np.broadcast_to(a, (2, 3)), condition, b[0, 0]], [np.where(condition, b[0, 0], a)])
for a, b in [(np.uint8, np.int8), (np.float32, np.float64)]:
    a, b = np.array([1, 2, 3], a), np.array(7, b)
    case("where", [condition, a, b], [np.where(condition, a, b)])
case("where", [np.array(True), np.zeros((0, 2), np.float32), np.ones(2, np.float32)], [np.zeros((0, 2), np.float32)])

for dtype in FLOATS + INTEGERS:
    if np.dtype(dtype).kind in "iu":
        x, low, high = small(dtype, 2, 3), dtype(3), dtype(50)
    else:
        x, low, high = np.array(PAIRS).astype(dtype), dtype(-2), dtype(1.5)
    case("clamp", [x, low, high], [np.clip(x, low, high).astype(dtype)])
    case("clamp", [x, high, low], [np.minimum(np.maximum(x, high), low)])  # the bounds exchanged
    a, b, c = (small(dtype, *s) if np.dtype(dtype).kind in "iu" else few(3, -4, 4).astype(dtype).reshape(s)
               for s in [(3, 1), (3,), (1, 3)])
    case("mul_add", [a, b, c], [(a * b).astype(dtype) + c])
for dtype in FLOATS:
    x, end = few(6, -4, 4).astype(dtype).reshape(2, 3), few(3, -4, 4).astype(dtype)
    for weight in [0.0, 0.25, 1.0, 1.5]:
        y = torch.lerp(*(torch.from_numpy(t.astype(np.float64)) for t in (x, np.broadcast_to(end, x.shape))), weight)
        case("lerp", [x, end, dtype(weight)], [y.numpy().astype(dtype)])

save("elementwise")
