// Products of a few rows of int8 codes with a weight of two-bit or int8 codes. LANES threads share
// ROWS rows of the weight; each reads four words at a time of each row and of the activations, whose
// words hold the same columns. Exact sums.
//
// Parameters: tokens, rows of the weight, vectors in a row of it, in a row of the activations.

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let lane = local % LANES;
    let slot = local / LANES;
    let rows = param(2u);
    let vectors = param(3u);
    let stride = param(4u);
    let first = (own_group(threads) * (WORKGROUP / LANES) + slot) * ROWS;
    var sums: array<i32, ROWS * TOKENS>;
    for (var n = 0u; n < ROWS * TOKENS; n++) { sums[n] = 0; }
    for (var v = lane; v < vectors; v += LANES) {
        var words: array<vec4<u32>, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            words[r] = weight[min(first + r, rows - 1u) * vectors + v];
        }
        for (var t = 0u; t < TOKENS; t++) {
            if (TWO_BITS == 1u) {
                for (var q = 0u; q < 4u; q++) {
                    let x = codes[t * stride + v * 4u + q];
                    for (var r = 0u; r < ROWS; r++) {
                        let word = words[r][q];
                        sums[r * TOKENS + t] += dot4I8Packed(word & 0x03030303u, x.x)
                            + dot4I8Packed((word >> 2u) & 0x03030303u, x.y)
                            + dot4I8Packed((word >> 4u) & 0x03030303u, x.z)
                            + dot4I8Packed((word >> 6u) & 0x03030303u, x.w);
                    }
                }
            } else {
                let x = codes[t * stride + v];
                for (var r = 0u; r < ROWS; r++) {
                    let word = words[r];
                    sums[r * TOKENS + t] += dot4I8Packed(word.x, x.x) + dot4I8Packed(word.y, x.y)
                        + dot4I8Packed(word.z, x.z) + dot4I8Packed(word.w, x.w);
                }
            }
        }
    }
    for (var n = 0u; n < ROWS * TOKENS; n++) {
        let sum = sum_of_lanes(sums[n], LANES, threads);
        let r = n / TOKENS;
        let t = n - r * TOKENS;
        if (lane == 0u && first + r < rows && t < param(1u)) {
            out[t * rows + first + r] = bitcast<u32>(finished(sum, t, first + r));
        }
    }
}
