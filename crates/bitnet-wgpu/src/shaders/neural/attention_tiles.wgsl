// Attention of many queries. A workgroup has ROWS of them, of some tokens and of all heads that share a
// key head, and takes as many keys at a time: a key and its value are read once for all of them. Both
// products, of queries with keys and of weights with values, are those of matmul.wgsl: a thread has
// four rows of the queries, and of the keys or of the dimensions four neighbouring ones. As in
// attention.wgsl, what was summed so far is scaled down when keys with a larger score come.
//
// Parameters as there.
const ROWS = 64u;
const ROW_FOURS = ROWS / 4u;
const STEP = 16u;
const PITCH = ROW_FOURS + 1u; // one more, so that neighbouring rows begin in different banks
const GROUPS = DIMS / 4u;
const OWN_GROUPS = max(GROUPS / 16u, 1u);
// Rows of values that there is room for.
const VALUE_ROWS = min(512u / GROUPS, ROWS);
// Queries and keys by dimension, or values by key.
var<workgroup> staged: array<vec4<f32>, 2u * STEP * PITCH>;
// Weights by key, four rows each.
var<workgroup> weights: array<vec4<f32>, ROWS * PITCH>;
// What 16 threads with the same rows found.
var<workgroup> found: array<vec4<f32>, WORKGROUP>;

fn larger_each(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(larger_of(a.x, b.x), larger_of(a.y, b.y), larger_of(a.z, b.z), larger_of(a.w, b.w));
}
fn exp_each(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(exp_of(x.x), exp_of(x.y), exp_of(x.z), exp_of(x.w));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tokens = param(1u);
    let heads = param(2u);
    let sharing = param(3u);
    let width = row_width();
    let capacity = param(5u);
    let own_tokens = ROWS / sharing;
    let first_token = group.x * own_tokens;
    let kv_head = group.y;
    let batch = group.z;
    let scale = bitcast<f32>(param(6u));
    let k_start = param(11u) + batch * param(12u) + kv_head * param(14u);
    let v_start = param(15u) + batch * param(16u) + kv_head * param(18u);
    let tx = local % 16u;
    let ty = local / 16u;

    // Keys that all rows see, and that some see.
    var least_visible = capacity;
    var most_visible = 0u;
    for (var token = first_token; token < min(first_token + own_tokens, tokens); token++) {
        let place = load_positions(param(19u) + batch * param(20u) + token * param(21u));
        if (place >= capacity && local == 0u) { report(place); }
        let visible = min(place, capacity - 1u) + 1u;
        least_visible = min(least_visible, visible);
        most_visible = max(most_visible, visible);
    }
    // How many keys the thread's rows see.
    var visible = vec4<u32>(0u);
    for (var r = 0u; r < 4u; r++) {
        let token = first_token + (4u * ty + r) / sharing;
        if (token < min(first_token + own_tokens, tokens)) {
            let place = load_positions(param(19u) + batch * param(20u) + token * param(21u));
            visible[r] = min(place, capacity - 1u) + 1u;
        }
    }
    // A thread of the first 128 brings four rows of queries or keys, four dimensions of each.
    let brings_query = local < 64u;
    let piece = local % 64u;
    let own_four = piece / 4u;
    let own_dim = piece % 4u * 4u;
    var query_starts = vec4<u32>(0u);
    for (var r = 0u; r < 4u; r++) {
        let row = 4u * own_four + r;
        let token = min(first_token + row / sharing, tokens - 1u);
        let head = kv_head * sharing + row % sharing;
        query_starts[r] = param(7u) + batch * param(8u) + token * param(9u) + head * param(10u);
    }

    let nothing = vec4<f32>(bitcast<f32>(0xff800000u | param(63u)));
    var largest = nothing;
    var total = vec4<f32>(0.0);
    var sums: array<vec4<f32>, 4u * OWN_GROUPS>;
    for (var n = 0u; n < 4u * OWN_GROUPS; n++) { sums[n] = vec4<f32>(0.0); }
    for (var tile = 0u; tile < most_visible; tile += ROWS) {
        // A column for each key, with the scores of four rows.
        var scores = mat4x4<f32>();
        for (var step = 0u; step < DIMS; step += STEP) {
            let d = step + own_dim;
            var block = mat4x4<f32>();
            if (local < 128u && d < width) {
                for (var r = 0u; r < 4u; r++) {
                    if (brings_query) {
                        block[r] = q_four(query_starts[r] + d, d);
                    } else {
                        let key = tile + 4u * own_four + r;
                        if (key < most_visible) { block[r] = k_four(k_start + key * param(13u) + d, d); }
                    }
                }
            }
            block = transpose(block);
            if (local < 128u) {
                let to = select(STEP * PITCH, 0u, brings_query) + own_dim * PITCH + own_four;
                for (var n = 0u; n < 4u; n++) { staged[to + n * PITCH] = block[n]; }
            }
            workgroupBarrier();
            for (var n = 0u; n < STEP; n++) {
                let q = staged[n * PITCH + ty];
                let k = staged[(STEP + n) * PITCH + tx];
                for (var c = 0u; c < 4u; c++) { scores[c] += q * k[c]; }
            }
            workgroupBarrier();
        }
        var own_largest = nothing;
        for (var c = 0u; c < 4u; c++) {
            let key = tile + 4u * tx + c;
            scores[c] = select(nothing, scores[c] * scale, vec4<u32>(key) < visible);
            own_largest = larger_each(own_largest, scores[c]);
        }
        found[local] = own_largest;
        workgroupBarrier();
        var new_largest = largest;
        for (var n = 0u; n < 16u; n++) { new_largest = larger_each(new_largest, found[16u * ty + n]); }
        let shrink = select(exp_each(largest - new_largest), vec4<f32>(1.0), largest == new_largest);
        largest = new_largest;
        total = total * shrink;
        for (var c = 0u; c < 4u; c++) {
            let weight = exp_each(scores[c] - largest);
            total += weight;
            weights[(4u * tx + c) * PITCH + ty] = weight;
        }
        for (var n = 0u; n < 4u * OWN_GROUPS; n++) { sums[n] *= shrink[n / OWN_GROUPS]; }
        let keys = min(ROWS, most_visible - tile);
        for (var step = 0u; step < keys; step += VALUE_ROWS) {
            for (var n = local; n < VALUE_ROWS * GROUPS; n += WORKGROUP) {
                let key = tile + step + n / GROUPS;
                let d = n % GROUPS * 4u;
                var value = vec4<f32>(0.0);
                if (key < most_visible && d < width) { value = v_four(v_start + key * param(17u) + d, d); }
                staged[n] = value;
            }
            workgroupBarrier();
            for (var n = 0u; n < VALUE_ROWS; n++) {
                let weight = weights[(step + n) * PITCH + ty];
                for (var o = 0u; o < OWN_GROUPS; o++) {
                    let value = staged[n * GROUPS + min(tx + 16u * o, GROUPS - 1u)];
                    for (var r = 0u; r < 4u; r++) {
                        if (tile + step + n < visible[r]) { sums[r * OWN_GROUPS + o] += weight[r] * value; }
                    }
                }
            }
            workgroupBarrier();
        }
    }
    found[local] = total;
    workgroupBarrier();
    total = vec4<f32>(0.0);
    for (var n = 0u; n < 16u; n++) { total += found[16u * ty + n]; }
    for (var r = 0u; r < 4u; r++) {
        let row = 4u * ty + r;
        let token = first_token + row / sharing;
        let head = kv_head * sharing + row % sharing;
        if (row < own_tokens * sharing && token < tokens) {
            let start = ((batch * tokens + token) * heads + head) * width;
            for (var o = 0u; o < OWN_GROUPS; o++) {
                let dim = 4u * (tx + 16u * o);
                for (var n = 0u; n < 4u; n++) {
                    if (dim + n < width) { out[start + dim + n] = encode_out(sums[r * OWN_GROUPS + o][n] / total[r]); }
                }
            }
        }
    }
}
