#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["mpmath==1.3.0", "numpy==2.4.6"]
# ///
"""The numbers of `src/elementwise/coefficients.rs` and `src/elementwise/gelu.rs`.

    python3 crates/bitnet-kernels/scripts/minimax.py

Prints polynomials of the least greatest relative error, by Remez' exchange in 40 digits, with the
highest coefficient first and the error as a power of two.
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 40


def remez(f, low, high, degree, weight=None, rounds=12):
    """Coefficients, lowest first, and the greatest error between two places: the relative one, or the
    absolute one times `weight`."""
    weight = weight or (lambda x: 1 / abs(f(x)))
    low, high, count = mp.mpf(low), mp.mpf(high), degree + 2
    place = lambda i, n: (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / n)
    extrema = [place(i, count - 1) for i in range(count)]
    grid = [place(i, 40 * count) for i in range(40 * count + 1)]
    for _ in range(rounds):
        matrix, values = mp.matrix(count, count), mp.matrix(count, 1)
        for i, x in enumerate(extrema):
            for j in range(degree + 1):
                matrix[i, j] = x**j
            matrix[i, degree + 1] = (-1) ** i / weight(x)
            values[i] = f(x)
        solution = mp.lu_solve(matrix, values)
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [weight(x) * (f(x) - mp.polyval(coefficients[::-1], x)) for x in grid]
        # The greatest error of each sign in turn.
        turns = []
        for i, error in enumerate(errors):
            if turns and mp.sign(errors[turns[-1]]) == mp.sign(error):
                if abs(error) > abs(errors[turns[-1]]):
                    turns[-1] = i
            else:
                turns.append(i)
        while len(turns) > count:
            turns.pop(0 if abs(errors[turns[0]]) < abs(errors[turns[-1]]) else -1)
        worst = max(map(abs, errors))
        if len(turns) < count or worst < mp.mpf("1.03") * min(abs(errors[i]) for i in turns):
            break
        extrema = [grid[i] for i in turns]
    return coefficients, worst


def show(name, f, low, high, degree, weight=None, digits=17):
    coefficients, worst = remez(f, low, high, degree, weight)
    print(f"{name}: 2^{float(mp.log(worst, 2)):.1f}")
    print("".join(f"    {float(c):.{digits}e},\n" for c in reversed(coefficients)))


def of_square(f, at_zero):
    """f(√z) / √z."""
    return lambda z: f(mp.sqrt(z)) / mp.sqrt(z) if z else mp.mpf(at_zero)


margin = mp.mpf("1.0001")
half_ln2 = mp.log(2) / 2 * margin
powers = lambda r: mp.expm1(r) / r if r else mp.mpf(1)
show("(e^r - 1) / r", powers, -half_ln2, half_ln2, 6)
edge = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * margin) ** 2
show("2 artanh(t) / t of t^2", of_square(lambda t: 2 * mp.atanh(t), 2), 0, edge, 4)
# What follows the 2 of the same; its error counts as one of the whole.
edge = ((1 - mp.mpf("0.685")) / (1 + mp.mpf("0.685")) * margin) ** 2
tail = lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z
show("its tail, m from 0.685 to 1.37", tail, edge / 1000, edge, 2, lambda z: z / 2, 9)
half, quarter = (mp.pi / 2 * margin) ** 2, (mp.pi / 4 * margin) ** 2
show("sin(r) / r of r^2, r <= pi/2", of_square(mp.sin, 1), 0, half, 5)
show("sin(r) / r of r^2, r <= pi/4", of_square(mp.sin, 1), 0, quarter, 4)
show("cos(r) of r^2, r <= pi/4", lambda z: mp.cos(mp.sqrt(z)), 0, quarter, 4)
show("erf(x) / x of x^2, x <= 1", of_square(mp.erf, 2 / mp.sqrt(mp.pi)), 0, 1, 7)
argument = lambda t: 4 * (1 + t) / (1 - t)
scaled = lambda t: mp.exp(argument(t) ** 2) * mp.erfc(argument(t))
show("e^(a^2) erfc(a) of (a - 4) / (a + 4), a <= 10.3", scaled, -1, (mp.mpf("10.3") - 4) / (mp.mpf("10.3") + 4), 11)

width, table, worst = mp.mpf(11) / 64, [], 0
for interval in range(32):
    middle = (interval + mp.mpf("0.5")) * width
    tail = lambda u: mp.erfc((middle + u) / mp.sqrt(2)) / 2
    coefficients, error = remez(tail, -width / 2, width / 2, 6)
    table.append(coefficients)
    worst = max(worst, error)
print(f"the normal distribution's tail by intervals: 2^{float(mp.log(worst, 2)):.1f}")
for degree in range(6, -1, -1):
    print("    [")
    for first in range(0, 32, 4):
        row = [np.float32(float(table[i][degree])) for i in range(first, first + 4)]
        print("        " + " ".join(f"{x!r}," for x in map(float, row)))
    print("    ],")
