// Products of many rows of int8 codes with a weight of two-bit or int8 codes: a workgroup has a tile
// of 64 tokens by 64 rows of the weight, a thread four by four of its results. The columns are walked
// through in steps of 64, both operands being laid out in shared memory as words of four int8.
//
// Parameters: tokens, rows of the weight, vectors in a row of it, in a row of the activations.
const TILE = 64u;
const STEP = 4u; // vectors of 16 columns
const PITCH = 5u; // one more, so that neighbouring rows begin in different banks
var<workgroup> tile_x: array<vec4<u32>, 320>;
var<workgroup> tile_w: array<vec4<u32>, 320>;

fn unpacked(word: u32) -> vec4<u32> {
    return vec4<u32>(word, word >> 2u, word >> 4u, word >> 6u) & vec4<u32>(0x03030303u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tokens = param(1u);
    let rows = param(2u);
    let vectors = param(3u);
    let stride = param(4u);
    let first_row = group.x * TILE;
    let first_token = group.y * TILE;
    let tx = local % 16u;
    let ty = local / 16u;
    var sums: array<i32, 16>;
    for (var n = 0u; n < 16u; n++) { sums[n] = 0; }
    // Each thread brings one vector of activations and of weights at each step.
    let own_row = local / STEP;
    let own_vector = local % STEP;
    let token = min(first_token + own_row, tokens - 1u);
    let row = min(first_row + own_row, rows - 1u);
    for (var v = 0u; v < stride; v += STEP) {
        var x = vec4<u32>(0u);
        if (v + own_vector < stride) { x = codes[token * stride + v + own_vector]; }
        tile_x[own_row * PITCH + own_vector] = x;
        if (TWO_BITS == 1u) {
            // A vector of a row is four words of sixteen columns.
            let words = weight[row * vectors + v / 4u];
            tile_w[own_row * PITCH + own_vector] = unpacked(words[own_vector]);
        } else {
            var w = vec4<u32>(0u);
            if (v + own_vector < vectors) { w = weight[row * vectors + v + own_vector]; }
            tile_w[own_row * PITCH + own_vector] = w;
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            var w: array<vec4<u32>, 4>;
            for (var j = 0u; j < 4u; j++) { w[j] = tile_w[(tx + 16u * j) * PITCH + k]; }
            for (var i = 0u; i < 4u; i++) {
                let x = tile_x[(ty + 16u * i) * PITCH + k];
                for (var j = 0u; j < 4u; j++) {
                    sums[i * 4u + j] += dot4I8Packed(x.x, w[j].x) + dot4I8Packed(x.y, w[j].y)
                        + dot4I8Packed(x.z, w[j].z) + dot4I8Packed(x.w, w[j].w);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let t = first_token + ty + 16u * i;
        for (var j = 0u; j < 4u; j++) {
            let r = first_row + tx + 16u * j;
            if (t < tokens && r < rows) {
                out[t * rows + r] = bitcast<u32>(finished(sums[i * 4u + j], t, r));
            }
        }
    }
}
