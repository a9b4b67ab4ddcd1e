// What is found in two passes: something of all elements (their sum, the largest of them), then a sum of
// what each is beside it. A workgroup for each result. Two walks as in the reductions: the results' axes,
// then those that disappear. Parameters: results, elements of each, what is taken from their number.
var<workgroup> shared_values: array<f32, WORKGROUP>;

// The square of a quotient; the largest number is neither zero nor infinite where it counts.
fn squared_beside(x: f32, largest: f32) -> f32 {
    let q = divide(x, largest);
    return q * q;
}

fn all_of(own: f32, second: bool, local: u32) -> f32 {
    shared_values[local] = own;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        if (local < half) {
            let a = shared_values[local];
            let b = shared_values[local + half];
            shared_values[local] = select(first_of(a, b), a + b, second);
        }
        workgroupBarrier();
    }
    let all = shared_values[0];
    workgroupBarrier();
    return all;
}

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let result = own_group(threads);
    if (result >= param(1u)) { return; }
    let count = param(2u);
    let start = position(result, 0u);
    var own = first_start();
    for (var i = local; i < count; i += WORKGROUP) {
        own = first_of(own, first_term(load_x(start + reduced_position(i))));
    }
    let found = first_done(all_of(own, false, local), f32(count));
    var total = 0.0;
    for (var i = local; i < count; i += WORKGROUP) {
        total += term(load_x(start + reduced_position(i)), found);
    }
    total = all_of(total, true, local);
    let degrees = f32(count - min(count, param(3u)));
    if (local == 0u) { store_out(result, done(total, found, degrees)); }
}
