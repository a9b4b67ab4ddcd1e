// A workgroup for each row. Parameters: rows, features, start of x, of the weight, epsilon.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * groups.x + group.x;
    if (row >= param(1u)) { return; }
    let features = param(2u);
    let start = param(3u) + row * features;
    var squares = 0.0;
    for (var i = local; i < features; i += WORKGROUP) {
        let v = load_x(start + i);
        squares += v * v;
    }
    let mean = sum_of_all(squares, local) / f32(features);
    let factor = 1.0 / sqrt(mean + bitcast<f32>(param(5u)));
    for (var i = local; i < features; i += WORKGROUP) {
        out[row * features + i] = encode_out(load_weight(param(4u) + i) * (load_x(start + i) * factor));
    }
}
