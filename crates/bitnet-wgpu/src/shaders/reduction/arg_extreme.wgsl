// The place of the largest or smallest along an axis: of the first of equals, of the first NaN where
// there is one. A workgroup for each result, which is a 64-bit integer. Parameters: results, elements
// of each, stride between them; then the walk over the results.
var<workgroup> shared_places: array<u32, WORKGROUP>;
var<workgroup> shared_values: array<X, WORKGROUP>;

fn is_before(a: X, at_a: u32, b: X, at_b: u32) -> bool {
    if (at_b == NOWHERE) { return true; }
    if (at_a == NOWHERE) { return false; }
    let nan_a = undefined(a);
    let nan_b = undefined(b);
    if (nan_a || nan_b) { return select(nan_a, at_a < at_b, nan_a && nan_b); }
    if (less(a, b)) { return LARGEST == 0u; }
    if (less(b, a)) { return LARGEST == 1u; }
    return at_a < at_b;
}
const NOWHERE = 0xffffffffu;

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let result = own_group(threads);
    if (result >= param(1u)) { return; }
    let start = position(result, 0u);
    var place = NOWHERE;
    var value = X(0);
    for (var i = local; i < param(2u); i += WORKGROUP) {
        let next = load_x(start + i * param(3u));
        if (is_before(next, i, value, place)) {
            value = next;
            place = i;
        }
    }
    shared_places[local] = place;
    shared_values[local] = value;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        if (local < half) {
            let other = local + half;
            if (is_before(shared_values[other], shared_places[other], shared_values[local], shared_places[local])) {
                shared_places[local] = shared_places[other];
                shared_values[local] = shared_values[other];
            }
        }
        workgroupBarrier();
    }
    if (local == 0u) {
        out[2u * result] = shared_places[0];
        out[2u * result + 1u] = 0u;
    }
}
