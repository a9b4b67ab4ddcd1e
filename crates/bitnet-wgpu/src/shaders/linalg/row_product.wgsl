// One row, normalised and quantized, times a packed weight. Every workgroup works the row out for
// itself and then has its rows of the weight, as in packed_rows.wgsl; the first one writes what is in
// between. What costs is waiting: so the loops have constant lengths, a thread keeps its ITEMS vectors
// of the row in registers, and the weights of DEPTH steps are asked for before the row is there.
//
// The row's codes lie in shared memory so that LANES threads, which read them for neighbouring vectors of
// the weight, find them side by side: other places are in the same banks and have to be read in turn.
//
// Parameters: vectors of the row, start of x, of the norm's weight (in vectors), epsilon, words of
// codes, rows of the weight, vectors in a row of it, starts of gate and up (in vectors).
var<workgroup> row_codes: array<vec4<u32>, CODE_VECTORS>;

// Where four words of codes are kept that are four of the row's.
fn code_place(fours: u32) -> u32 {
    if (TWO_BITS == 1u) { return (fours % 4u) * param(7u) + fours / 4u; }
    return fours;
}
// Codes of sixteen columns times two-bit weights.
fn sixteen(word: u32, codes: vec4<u32>) -> i32 {
    return dot4I8Packed(word & 0x03030303u, codes.x) + dot4I8Packed((word >> 2u) & 0x03030303u, codes.y)
        + dot4I8Packed((word >> 4u) & 0x03030303u, codes.z)
        + dot4I8Packed((word >> 6u) & 0x03030303u, codes.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let own = own_group(threads);
    let vectors = param(1u);
    let code_words = param(5u);

    let lane = local % LANES;
    let rows = param(6u);
    let row_vectors = param(7u);
    let slot = local / LANES;
    let first = (own * (WORKGROUP / LANES) + slot) * ROWS;
    var starts: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) { starts[r] = min(weight_row(first + r), rows - 1u) * row_vectors; }
    var ahead: array<vec4<u32>, ROWS * DEPTH>;
    for (var step = 0u; step < DEPTH; step++) {
        let v = lane + step * LANES;
        for (var r = 0u; r < ROWS; r++) {
            if (v < row_vectors) { ahead[step * ROWS + r] = weight[starts[r] + v]; }
        }
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
    var extent = Extent(0u, 0u);
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
        if (at < 4u * CODE_VECTORS) {
            var packed = 0u;
            for (var k = 0u; k < 4u; k++) {
                let code = code_of(values[n][k], scale.factor);
                sum += code;
                packed |= in_word(code, k);
            }
            row_codes[code_place(at / 4u)][at % 4u] = packed;
            if (own == 0u && at < code_words) { codes[at] = packed; }
        }
    }
    sum = total_of_all(sum, threads); // a barrier: the codes are there
    if (own == 0u && local == 0u) {
        scales[0] = bitcast<u32>(scale.of_code);
        sums[0] = bitcast<u32>(sum);
    }

    var products: array<i32, ROWS>;
    for (var r = 0u; r < ROWS; r++) { products[r] = 0; }
    for (var step = 0u; step < STEPS; step++) {
        let v = lane + step * LANES;
        let kept = (step % DEPTH) * ROWS;
        if (v < row_vectors) {
            if (TWO_BITS == 1u) {
                let a = row_codes[v];
                let b = row_codes[row_vectors + v];
                let c = row_codes[2u * row_vectors + v];
                let d = row_codes[3u * row_vectors + v];
                for (var r = 0u; r < ROWS; r++) {
                    let words = ahead[kept + r];
                    products[r] += sixteen(words.x, a) + sixteen(words.y, b)
                        + sixteen(words.z, c) + sixteen(words.w, d);
                }
            } else {
                let x = row_codes[v];
                for (var r = 0u; r < ROWS; r++) {
                    let words = ahead[kept + r];
                    products[r] += dot4I8Packed(words.x, x.x) + dot4I8Packed(words.y, x.y)
                        + dot4I8Packed(words.z, x.z) + dot4I8Packed(words.w, x.w);
                }
            }
        }
        if (step + DEPTH < STEPS) {
            for (var r = 0u; r < ROWS; r++) {
                if (v + DEPTH * LANES < row_vectors) { ahead[kept + r] = weight[starts[r] + v + DEPTH * LANES]; }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        let row = weight_row(first + r);
        var exact = sum_of_lanes(products[r], LANES, threads);
        if (TWO_BITS == 1u) { exact -= sum; }
        let v = f32(exact) * (scale.of_code * load_weight_scales(min(row, rows - 1u)));
        if (lane == 0u && row < rows) { out[row] = bitcast<u32>(v); }
        use_result(row, v, slot, lane == 0u && row < rows);
    }
}
