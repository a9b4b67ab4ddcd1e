// A workgroup for each row. Parameters: rows, features, start of x, of the weight, of the bias, epsilon.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let row = own_group(threads);
    if (row >= param(1u)) { return; }
    let features = param(2u);
    let start = param(3u) + row * features;
    var total = 0.0;
    for (var i = local; i < features; i += WORKGROUP) { total += load_x(start + i); }
    let mean = sum_of_all(total, threads) / f32(features);
    var squares = 0.0;
    for (var i = local; i < features; i += WORKGROUP) {
        let v = load_x(start + i) - mean;
        squares += v * v;
    }
    let variance = sum_of_all(squares, threads) / f32(features);
    let factor = 1.0 / sqrt(variance + bitcast<f32>(param(6u)));
    for (var i = local; i < features; i += WORKGROUP) {
        let normed = (load_x(start + i) - mean) * factor;
        out[row * features + i] = encode_out(normed * load_weight(param(4u) + i) + load_bias(param(5u) + i));
    }
}
