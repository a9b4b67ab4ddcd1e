// A workgroup for each query: token and head. Keys are read in tiles of a workgroup; what was summed
// so far is scaled down when a tile has a larger score (Milakov and Gimelshein 2018). DIMS threads
// hold a dimension of the result each, SPLITS of them side by side share the keys of a tile.
//
// Parameters: tokens, heads, heads that share a key head, width, capacity, scale; starts and strides
// (batch, token, head) of queries, keys, values; start and strides of the positions.
const SPLITS = WORKGROUP / DIMS;
var<workgroup> query: array<f32, DIMS>;
var<workgroup> weights: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tokens = param(1u);
    let heads = param(2u);
    let width = param(4u);
    let head = group.x;
    let token = group.y;
    let batch = group.z;
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
    if (local < width) { query[local] = load_q(q_start + local); }
    workgroupBarrier();

    let dim = local % DIMS;
    let split = local / DIMS;
    var largest = bitcast<f32>(0xff800000u | param(63u));
    var total = 0.0;
    var sum = 0.0;
    for (var tile = 0u; tile < visible; tile += WORKGROUP) {
        let key = tile + local;
        var score = bitcast<f32>(0xff800000u | param(63u));
        if (key < visible) {
            let row = k_start + key * param(13u);
            var dot = 0.0;
            for (var d = 0u; d < width; d++) { dot += query[d] * load_k(row + d); }
            score = dot * scale;
        }
        let tile_largest = largest_of_all(score, local);
        let new_largest = select(select(tile_largest, largest, largest > tile_largest), largest, is_nan(largest));
        let shrink = select(exp_of(largest - new_largest), 1.0, largest == new_largest);
        var weight = 0.0;
        if (key < visible) { weight = exp_of(score - new_largest); }
        weights[local] = weight;
        total = total * shrink + sum_of_all(weight, local);
        sum = sum * shrink;
        largest = new_largest;
        let keys = min(WORKGROUP, visible - tile);
        if (dim < width) {
            for (var n = split; n < keys; n += SPLITS) {
                sum += weights[n] * load_v(v_start + (tile + n) * param(17u) + dim);
            }
        }
        workgroupBarrier();
    }
    shared_floats[local] = sum;
    workgroupBarrier();
    if (local < width) {
        var all = shared_floats[local];
        for (var n = 1u; n < SPLITS; n++) { all += shared_floats[local + n * DIMS]; }
        let row = (batch * tokens + token) * heads + head;
        out[row * width + local] = encode_out(all / total);
    }
}
