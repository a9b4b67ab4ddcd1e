// What follows the product of one token's queries, keys and values: the first `rotated` rows are rotated
// by the token's position, as rope.wgsl does, and the rows of keys and values written into a cache, as
// row_places.wgsl says. Neighbouring slots of a workgroup have the two rows of a pair.
//
// Parameters: width of a head, rotated rows, place of the position, starts of the tables, their rows; of
// keys and of values each the first row, their count, capacity, start, and strides of place, head, element.
var<workgroup> results: array<f32, WORKGROUP / LANES>;

// The row of the weight that is the n-th in the order of pairs.
fn weight_row(n: u32) -> u32 {
    let width = param(10u);
    let pair = n / 2u;
    let half = width / 2u;
    let head = pair / half;
    let d = pair - head * half;
    if (HALVES == 1u) { return head * width + d + (n % 2u) * half; }
    return head * width + 2u * d + n % 2u;
}
// All threads come here together.
fn use_result(row: u32, v: f32, slot: u32, is_mine: bool) {
    if (is_mine) { results[slot] = v; }
    workgroupBarrier();
    if (!is_mine) { return; }
    let width = param(10u);
    let place = load_positions(param(12u));
    var result = v;
    if (row < param(11u)) {
        if (place >= param(15u)) {
            report(place);
            result = 0.0;
        } else {
            let half = width / 2u;
            let d = row % width;
            let is_first = slot % 2u == 0u;
            let pair = place * half + select(d / 2u, d % half, HALVES == 1u);
            let c = load_cos(param(13u) + pair);
            let s = load_sin(param(14u) + pair);
            let other = results[slot ^ 1u];
            result = v * c + select(other * s, -(other * s), is_first);
        }
        rotated[row] = bitcast<u32>(result);
    }
    let key = cached(row, 16u, place);
    if (key.is_inside) { keys[key.at] = bitcast<u32>(result); }
    let value = cached(row, 23u, place);
    if (value.is_inside) { values[value.at] = bitcast<u32>(v); }
}
struct Cached { at: u32, is_inside: bool }
fn cached(row: u32, first: u32, place: u32) -> Cached {
    let n = row - param(first);
    if (row < param(first) || n >= param(first + 1u)) { return Cached(0u, false); }
    if (place >= param(first + 2u)) {
        report(place);
        return Cached(0u, false);
    }
    let head = n / param(10u);
    let d = n - head * param(10u);
    let at = param(first + 3u) + place * param(first + 4u) + head * param(first + 5u) + d * param(first + 6u);
    return Cached(at, true);
}
