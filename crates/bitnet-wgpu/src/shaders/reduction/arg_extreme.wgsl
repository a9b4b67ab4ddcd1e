// The place of the largest or smallest along an axis: of the first of equals, of the first NaN where
// there is one. A workgroup for each result, or as many as there are slices: of these each has every so many-th
// part of the elements, and a second kernel, of WORKGROUP candidates at most, chooses among the places that they
// found. Parameters: results, elements of each, stride between them, candidates of each, slices; then
// the walk over the results.
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
    let group = own_group(threads);
    let slices = param(5u);
    let result = group / slices;
    if (result >= param(1u)) { return; }
    let start = position(result, 0u);
    var place = NOWHERE;
    var value = X(0);
    for (var n = (group % slices) * WORKGROUP + local; n < param(4u); n += slices * WORKGROUP) {
        let i = candidate(result, n);
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
    if (local == 0u) { keep(group, shared_places[0]); }
}
