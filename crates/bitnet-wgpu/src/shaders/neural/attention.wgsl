// A workgroup for each query (token and head), or several where there are few queries: of SLICES, each
// has every SLICES-th tile of the keys, and attention_join.wgsl makes one of what they found. Keys are
// read in tiles of a workgroup; what was summed so far is scaled down when a tile has a larger score
// (Milakov and Gimelshein 2018). For the scores a thread has a key; for the sums GROUPS threads have
// WIDE neighbouring dimensions of the result each, and SPLITS of such groups share the keys of a tile.
// One query waits for memory: AT_ONCE rows of values are asked for before the first is there.
//
// Parameters: tokens, heads, heads that share a key head, width, capacity, scale; starts and strides
// (batch, token, head) of queries, keys, values; start and strides of the positions; slices.
const WIDE = 4u;
const GROUPS = DIMS / WIDE;
const SPLITS = WORKGROUP / GROUPS;
const AT_ONCE = 4u;
var<workgroup> query: array<vec4<f32>, GROUPS>;
var<workgroup> weights: array<f32, WORKGROUP>;
var<workgroup> parts: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let tokens = param(1u);
    let heads = param(2u);
    let width = row_width();
    let slices = param(22u);
    let head = threads.group.x / slices;
    let slice = threads.group.x - head * slices;
    let token = threads.group.y;
    let batch = threads.group.z;
    let kv_head = head / param(3u);
    let place = load_positions(param(19u) + batch * param(20u) + token * param(21u));
    if (place >= param(5u)) {
        if (local == 0u) { report(place); }
        return;
    }
    let visible = place + 1u;
    let scale = bitcast<f32>(param(6u));
    let q_start = param(7u) + batch * param(8u) + token * param(9u) + head * param(10u);
    let k_start = param(11u) + batch * param(12u) + kv_head * param(14u);
    let v_start = param(15u) + batch * param(16u) + kv_head * param(18u);
    if (local < GROUPS) {
        let d = local * WIDE;
        query[local] = q_four(q_start + d, d);
    }
    workgroupBarrier();

    let nothing = bitcast<f32>(0xff800000u | param(63u));
    let group = local % GROUPS;
    let split = local / GROUPS;
    let dim = group * WIDE;
    var largest = nothing;
    var total = 0.0;
    var sum = vec4<f32>(0.0);
    for (var tile = slice * WORKGROUP; tile < visible; tile += slices * WORKGROUP) {
        let key = tile + local;
        var score = nothing;
        if (key < visible) {
            let row = k_start + key * param(13u);
            var dots = vec4<f32>(0.0);
            for (var g = 0u; g < GROUPS; g++) {
                if (g * WIDE < width) { dots += query[g] * k_four(row + g * WIDE, g * WIDE); }
            }
            score = ((dots.x + dots.y) + (dots.z + dots.w)) * scale;
        }
        let tile_largest = largest_of_all(score, threads);
        let new_largest = larger_of(largest, tile_largest);
        let shrink = select(exp_of(largest - new_largest), 1.0, largest == new_largest);
        var weight = 0.0;
        if (key < visible) { weight = exp_of(score - new_largest); }
        weights[local] = weight;
        total = total * shrink + sum_of_all(weight, threads); // a barrier: the weights are there
        sum = sum * shrink;
        largest = new_largest;
        let keys = min(WORKGROUP, visible - tile);
        if (dim < width) {
            for (var first = split; first < keys; first += AT_ONCE * SPLITS) {
                var rows: array<vec4<f32>, AT_ONCE>;
                for (var n = 0u; n < AT_ONCE; n++) {
                    let own = min(first + n * SPLITS, keys - 1u);
                    rows[n] = v_four(v_start + (tile + own) * param(17u) + dim, dim);
                }
                for (var n = 0u; n < AT_ONCE; n++) {
                    let own = first + n * SPLITS;
                    if (own < keys) { sum += weights[own] * rows[n]; }
                }
            }
        }
        workgroupBarrier();
    }
    parts[local] = sum;
    workgroupBarrier();
    if (split == 0u && dim < width) {
        for (var n = 1u; n < SPLITS; n++) { sum += parts[local + n * GROUPS]; }
        let row = (batch * tokens + token) * heads + head;
        if (slices == 1u) {
            for (var n = 0u; n < WIDE; n++) {
                if (dim + n < width) { out[row * width + dim + n] = encode_out(sum[n] / total); }
            }
        } else {
            // The sums, then their largest score and the total of the weights.
            let part = (row * slices + slice) * (width + 2u);
            for (var n = 0u; n < WIDE; n++) {
                if (dim + n < width) { out[part + dim + n] = encode_out(sum[n]); }
            }
            if (local == 0u) {
                out[part + width] = encode_out(largest);
                out[part + width + 1u] = encode_out(total);
            }
        }
    }
}
