// One row, normalised and quantized, times a packed weight. Every workgroup works the row out for
// itself and then has its rows of the weight, as in packed_rows.wgsl; the first one writes what is in
// between.
//
// Parameters: features, start of x, of the norm's weight, epsilon, padded features; rows of the weight,
// vectors in a row of it; starts of gate and up.
var<workgroup> row_codes: array<u32, 3072>;

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let own_group = threads.group.y * threads.groups.x + threads.group.x;
    let features = param(1u);
    let code_words = param(5u) / 4u;
    var squares = 0.0;
    for (var i = local; i < features; i += WORKGROUP) {
        let v = input(i);
        if (own_group == 0u) { keep_input(i, v); }
        squares += v * v;
    }
    let mean = sum_of_all(squares, threads) / f32(features);
    let factor = 1.0 / sqrt(mean + bitcast<f32>(param(4u)));
    var largest = 0.0;
    var not_finite = 0.0;
    for (var i = local; i < features; i += WORKGROUP) {
        let v = magnitude(load_norm(param(3u) + i) * (input(i) * factor));
        if (!is_nan(v)) { largest = max(largest, v); }
        if (is_nan(v) || is_infinite(v)) { not_finite = 1.0; }
    }
    largest = largest_of_all(largest, threads);
    let spoiled = sum_of_all(not_finite, threads) > 0.0;
    let bounded = clamp(largest, 1e-5, 3.4028234e38);
    let scale = divide(127.0, bounded);
    var sum = 0;
    for (var word = local; word < code_words; word += WORKGROUP) {
        var packed = 0u;
        for (var n = 0u; n < 4u; n++) {
            let i = word * 4u + n;
            if (i < features) {
                let v = load_norm(param(3u) + i) * (input(i) * factor);
                let code = select(i32(clamp(round(v * scale), -128.0, 127.0)), 0, is_nan(v));
                sum += code;
                packed |= (bitcast<u32>(code) & 255u) << (8u * n);
            }
        }
        row_codes[word] = packed;
        if (own_group == 0u) { codes[word] = packed; }
    }
    sum = total_of_all(sum, threads);
    let nan = bitcast<f32>(0x7fc00000u | param(63u));
    let row_scale = select(divide(bounded, 127.0), nan, spoiled);
    if (own_group == 0u && local == 0u) {
        scales[0] = bitcast<u32>(row_scale);
        sums[0] = bitcast<u32>(sum);
    }

    let lane = local % LANES;
    let rows = param(6u);
    let vectors = param(7u);
    let first = (own_group * (WORKGROUP / LANES) + local / LANES) * ROWS;
    var products: array<i32, ROWS>;
    for (var r = 0u; r < ROWS; r++) { products[r] = 0; }
    for (var v = lane; v < vectors; v += LANES) {
        var words: array<vec4<u32>, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            words[r] = weight[min(first + r, rows - 1u) * vectors + v];
        }
        if (TWO_BITS == 1u) {
            for (var q = 0u; q < 4u; q++) {
                let at = v * 16u + q * 4u;
                let x = vec4<u32>(row_codes[at], row_codes[at + 1u], row_codes[at + 2u], row_codes[at + 3u]);
                for (var r = 0u; r < ROWS; r++) {
                    let word = words[r][q];
                    products[r] += dot4I8Packed(word & 0x03030303u, x.x)
                        + dot4I8Packed((word >> 2u) & 0x03030303u, x.y)
                        + dot4I8Packed((word >> 4u) & 0x03030303u, x.z)
                        + dot4I8Packed((word >> 6u) & 0x03030303u, x.w);
                }
            }
        } else {
            let at = v * 4u;
            for (var r = 0u; r < ROWS; r++) {
                let word = words[r];
                products[r] += dot4I8Packed(word.x, row_codes[at]) + dot4I8Packed(word.y, row_codes[at + 1u])
                    + dot4I8Packed(word.z, row_codes[at + 2u]) + dot4I8Packed(word.w, row_codes[at + 3u]);
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        var exact = sum_of_lanes(products[r], LANES, threads);
        let row = first + r;
        if (lane == 0u && row < rows) {
            if (TWO_BITS == 1u) { exact -= sum; }
            let v = f32(exact) * (row_scale * load_weight_scales(row));
            out[row] = bitcast<u32>(v);
            add(row, v);
        }
    }
}
