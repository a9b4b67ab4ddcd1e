// A workgroup for each row. A thread keeps ITEMS numbers of it; of longer rows, for which ITEMS is 0, it
// reads and computes them again. Parameters: rows, features, start of x.
fn larger_or_nan(largest: f32, v: f32) -> f32 {
    return select(select(v, largest, largest > v), largest, is_nan(largest));
}

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let row = own_group(threads);
    if (row >= param(1u)) { return; }
    let features = param(2u);
    let start = param(3u) + row * features;
    var largest = load_x(start);
    var total = 0.0;
    if (ITEMS > 0u) {
        var values: array<f32, KEPT>;
        for (var n = 0u; n < KEPT; n++) {
            // Beyond the end the last one again: it changes no maximum.
            values[n] = load_x(start + min(local + n * WORKGROUP, features - 1u));
        }
        for (var n = 0u; n < KEPT; n++) { largest = larger_or_nan(largest, values[n]); }
        largest = largest_of_all(largest, threads);
        for (var n = 0u; n < KEPT; n++) {
            values[n] = exp_of(values[n] - largest);
            total += select(0.0, values[n], local + n * WORKGROUP < features);
        }
        total = sum_of_all(total, threads);
        for (var n = 0u; n < KEPT; n++) {
            let i = local + n * WORKGROUP;
            if (i < features) { out[row * features + i] = encode_out(values[n] / total); }
        }
        return;
    }
    for (var i = local; i < features; i += WORKGROUP) { largest = larger_or_nan(largest, load_x(start + i)); }
    largest = largest_of_all(largest, threads);
    for (var i = local; i < features; i += WORKGROUP) { total += exp_of(load_x(start + i) - largest); }
    total = sum_of_all(total, threads);
    for (var i = local; i < features; i += WORKGROUP) {
        out[row * features + i] = encode_out(exp_of(load_x(start + i) - largest) / total);
    }
}
const KEPT = max(ITEMS, 1u);
