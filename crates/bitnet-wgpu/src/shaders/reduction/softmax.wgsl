// A workgroup for each row. Parameters: rows, features, start of x.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let row = own_group(threads);
    if (row >= param(1u)) { return; }
    let features = param(2u);
    let start = param(3u) + row * features;
    var largest = load_x(start);
    for (var i = local; i < features; i += WORKGROUP) {
        let v = load_x(start + i);
        largest = select(select(v, largest, largest > v), largest, is_nan(largest));
    }
    largest = largest_of_all(largest, threads);
    var total = 0.0;
    for (var i = local; i < features; i += WORKGROUP) { total += exp_of(load_x(start + i) - largest); }
    total = sum_of_all(total, threads);
    for (var i = local; i < features; i += WORKGROUP) {
        out[row * features + i] = encode_out(exp_of(load_x(start + i) - largest) / total);
    }
}
