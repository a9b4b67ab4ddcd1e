// A workgroup for each row: codes of four columns in a word, the scale, the sum of the codes.
// Parameters: rows, features, padded features, start of x, of the weight, epsilon.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let row = threads.group.y * threads.groups.x + threads.group.x;
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
    var largest = 0.0;
    var not_finite = 0.0;
    for (var i = local; i < features; i += WORKGROUP) {
        let v = magnitude(value(start + i, i, factor));
        if (!is_nan(v)) { largest = max(largest, v); }
        if (is_nan(v) || is_infinite(v)) { not_finite = 1.0; }
    }
    largest = largest_of_all(largest, threads);
    let spoiled = sum_of_all(not_finite, threads) > 0.0;
    let bounded = clamp(largest, 1e-5, 3.4028234e38);
    let scale = divide(127.0, bounded);
    var sum = 0;
    for (var word = local; word < words; word += WORKGROUP) {
        var packed = 0u;
        for (var lane = 0u; lane < 4u; lane++) {
            let i = word * 4u + lane;
            if (i < features) {
                let v = value(start + i, i, factor);
                let code = select(i32(clamp(round(v * scale), -128.0, 127.0)), 0, is_nan(v));
                sum += code;
                packed |= (bitcast<u32>(code) & 255u) << (8u * lane);
            }
        }
        codes[row * words + word] = packed;
    }
    sum = total_of_all(sum, threads);
    if (local == 0u) {
        let nan = bitcast<f32>(0x7fc00000u | param(63u));
        scales[row] = bitcast<u32>(select(divide(bounded, 127.0), nan, spoiled));
        sums[row] = bitcast<u32>(sum);
    }
}

fn value(place: u32, column: u32, factor: f32) -> f32 {
    let v = load_x(place);
    if (NORM == 1u) { return load_weight(param(5u) + column) * (v * factor); }
    return v;
}
