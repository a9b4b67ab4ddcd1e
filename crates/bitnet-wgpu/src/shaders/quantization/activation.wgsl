// A workgroup for each row: codes of four columns in a word, the scale, the sum of the codes.
// Parameters: rows, features, padded features, start of x, of the weight, epsilon.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let row = own_group(threads);
    if (row >= param(1u)) { return; }
    let features = param(2u);
    let words = param(3u) / 4u;
    let start = param(4u) + row * features;
    var factor = 1.0;
    if (NORM == 1u) {
        var squares = 0.0;
        for (var i = local; i < features; i += WORKGROUP) {
            let v = load_x(start + i);
            squares += v * v;
        }
        let mean = sum_of_all(squares, threads) / f32(features);
        factor = 1.0 / sqrt(mean + bitcast<f32>(param(6u)));
    }
    var extent = Extent(0u, 0u);
    for (var i = local; i < features; i += WORKGROUP) {
        extent = extended(extent, value(start + i, i, factor));
    }
    let scale = row_scale_of(extent, threads);
    var sum = 0;
    for (var word = local; word < words; word += WORKGROUP) {
        var packed = 0u;
        for (var lane = 0u; lane < 4u; lane++) {
            let i = word * 4u + lane;
            if (i < features) {
                let v = value(start + i, i, factor);
                let code = code_of(v, scale.factor);
                sum += code;
                packed |= in_word(code, lane);
            }
        }
        codes[row * words + word] = packed;
    }
    sum = total_of_all(sum, threads);
    if (local == 0u) {
        scales[row] = bitcast<u32>(scale.of_code);
        sums[row] = bitcast<u32>(sum);
    }
}

fn value(place: u32, column: u32, factor: f32) -> f32 {
    let v = load_x(place);
    if (NORM == 1u) { return load_weight(param(5u) + column) * (v * factor); }
    return v;
}
