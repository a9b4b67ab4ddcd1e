// A workgroup for each row. Parameters: rows, features, start of x, of the weight, epsilon.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let row = own_group(threads);
    if (row >= param(1u)) { return; }
    let features = param(2u);
    let start = param(3u) + row * features;
    var squares = 0.0;
    for (var i = local; i < features; i += WORKGROUP) {
        let v = load_x(start + i);
        squares += v * v;
    }
    let mean = sum_of_all(squares, threads) / f32(features);
    let factor = 1.0 / sqrt(mean + bitcast<f32>(param(5u)));
    for (var i = local; i < features; i += WORKGROUP) {
        out[row * features + i] = encode_out(load_weight(param(4u) + i) * (load_x(start + i) * factor));
    }
}
