// One row, normalised and quantized, times a packed weight. Every workgroup works the row out for
// itself and then has its rows of the weight, as in packed_rows.wgsl; the first one writes what is in
// between. What costs is waiting: so the loops have constant lengths, a thread keeps its ITEMS vectors
// of the row in registers, and the weights are asked for before the row is there.
//
// Parameters: vectors of the row, start of x, of the norm's weight (in vectors), epsilon, vectors of
// codes, rows of the weight, vectors in a row of it, starts of gate and up (in vectors).
var<workgroup> row_codes: array<u32, CODE_WORDS>;

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let own = own_group(threads);
    let vectors = param(1u);
    let code_words = param(5u);

    let lane = local % LANES;
    let rows = param(6u);
    let row_vectors = param(7u);
    let first = (own * (WORKGROUP / LANES) + local / LANES) * ROWS;
    var ahead: array<vec4<u32>, AHEAD>;
    for (var n = 0u; n < AHEAD; n++) {
        // Of each row the first STEPS vectors of this lane.
        let r = n / STEPS;
        let v = lane + (n - r * STEPS) * LANES;
        if (v < row_vectors) { ahead[n] = weight[min(first + r, rows - 1u) * row_vectors + v]; }
    }

    var values: array<vec4<f32>, ITEMS>;
    var squares = vec4<f32>(0.0);
    for (var n = 0u; n < ITEMS; n++) {
        let at = local + n * WORKGROUP;
        values[n] = vec4<f32>(0.0);
        if (at < vectors) {
            values[n] = input(at);
            if (own == 0u) { keep_input(at, values[n]); }
        }
        squares += values[n] * values[n];
    }
    let sum_of_squares = sum_of_all((squares.x + squares.y) + (squares.z + squares.w), threads);
    let factor = 1.0 / sqrt(sum_of_squares / f32(4u * vectors) + bitcast<f32>(param(4u)));
    var extent = Extent(0.0, 0.0);
    for (var n = 0u; n < ITEMS; n++) {
        let at = local + n * WORKGROUP;
        if (at < vectors) {
            values[n] = bitcast<vec4<f32>>(norm[param(3u) + at]) * (values[n] * factor);
            for (var k = 0u; k < 4u; k++) { extent = extended(extent, values[n][k]); }
        }
    }
    let scale = row_scale_of(extent, threads);
    var sum = 0;
    for (var n = 0u; n < ITEMS; n++) {
        let at = local + n * WORKGROUP;
        if (at < code_words) {
            var packed = 0u;
            for (var k = 0u; k < 4u; k++) {
                let code = code_of(values[n][k], scale.factor);
                sum += code;
                packed |= in_word(code, k);
            }
            row_codes[at] = packed;
            if (own == 0u) { codes[at] = packed; }
        }
    }
    sum = total_of_all(sum, threads); // a barrier: the codes are there
    if (own == 0u && local == 0u) {
        scales[0] = bitcast<u32>(scale.of_code);
        sums[0] = bitcast<u32>(sum);
    }

    for (var r = 0u; r < ROWS; r++) {
        let row = first + r;
        var product = 0;
        for (var step = 0u; step < STEPS; step++) {
            let v = lane + step * LANES;
            if (v < row_vectors) {
                var words = vec4<u32>(0u);
                if (AHEAD > 1u) { words = ahead[(r * STEPS + step) % AHEAD]; }
                else { words = weight[min(row, rows - 1u) * row_vectors + v]; }
                if (TWO_BITS == 1u) {
                    for (var q = 0u; q < 4u; q++) {
                        let at = v * 16u + q * 4u;
                        let word = words[q];
                        product += dot4I8Packed(word & 0x03030303u, row_codes[at])
                            + dot4I8Packed((word >> 2u) & 0x03030303u, row_codes[at + 1u])
                            + dot4I8Packed((word >> 4u) & 0x03030303u, row_codes[at + 2u])
                            + dot4I8Packed((word >> 6u) & 0x03030303u, row_codes[at + 3u]);
                    }
                } else {
                    let at = v * 4u;
                    product += dot4I8Packed(words.x, row_codes[at]) + dot4I8Packed(words.y, row_codes[at + 1u])
                        + dot4I8Packed(words.z, row_codes[at + 2u]) + dot4I8Packed(words.w, row_codes[at + 3u]);
                }
            }
        }
        var exact = sum_of_lanes(product, LANES, threads);
        if (lane == 0u && row < rows) {
            if (TWO_BITS == 1u) { exact -= sum; }
            let v = f32(exact) * (scale.of_code * load_weight_scales(row));
            out[row] = bitcast<u32>(v);
            add(row, v);
        }
    }
}
