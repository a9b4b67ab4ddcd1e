// Products of matrices with any strides: a workgroup has a tile of 64 by 64, a thread four rows of four
// neighbouring columns, so that words of shorter types have one writer. Batches are the third axis of
// the grid; a walk of two operands says where the matrices of a batch begin.
//
// Parameters: m, n, k; strides of a (row, column), of b (row, column); then the walk.
const TILE = 64u;
const STEP = 16u;
const PITCH = 65u;
var<workgroup> tile_a: array<f32, 1040>;
var<workgroup> tile_b: array<f32, 1040>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let m = param(1u);
    let n = param(2u);
    let k = param(3u);
    let start_a = position(group.z, 0u);
    let start_b = position(group.z, 1u);
    let first_row = group.y * TILE;
    let first_column = group.x * TILE;
    let tx = local % 16u;
    let ty = local / 16u;
    var sums: array<vec4<f32>, 4>;
    for (var i = 0u; i < 4u; i++) { sums[i] = vec4<f32>(0.0); }
    for (var step = 0u; step < k; step += STEP) {
        for (var part = 0u; part < 4u; part++) {
            // Threads side by side read what lies side by side.
            let at = local + part * WORKGROUP;
            var inner = at % STEP;
            var outer = at / STEP;
            if (A_BY_ROWS == 0u) { outer = at % TILE; inner = at / TILE; }
            var value = 0.0;
            if (first_row + outer < m && step + inner < k) {
                value = load_a(start_a + (first_row + outer) * param(4u) + (step + inner) * param(5u));
            }
            tile_a[inner * PITCH + outer] = value;
            inner = at / TILE;
            outer = at % TILE;
            if (B_BY_ROWS == 0u) { inner = at % STEP; outer = at / STEP; }
            value = 0.0;
            if (first_column + outer < n && step + inner < k) {
                value = load_b(start_b + (step + inner) * param(6u) + (first_column + outer) * param(7u));
            }
            tile_b[inner * PITCH + outer] = value;
        }
        workgroupBarrier();
        for (var inner = 0u; inner < STEP; inner++) {
            let at = inner * PITCH + 4u * tx;
            let b = vec4<f32>(tile_b[at], tile_b[at + 1u], tile_b[at + 2u], tile_b[at + 3u]);
            for (var i = 0u; i < 4u; i++) { sums[i] += tile_a[inner * PITCH + ty + 16u * i] * b; }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let row = first_row + ty + 16u * i;
        if (row < m) {
            for (var j = 0u; j < 4u; j += OUT_LANES) {
                let column = first_column + 4u * tx + j;
                if (column < n) {
                    var bits = 0u;
                    for (var lane = 0u; lane < OUT_LANES; lane++) {
                        if (column + lane < n) { bits |= encode_out(sums[i][j + lane]) << (lane * OUT_BITS); }
                    }
                    out[((group.z * m + row) * n + column) / OUT_LANES] = bits;
                }
            }
        }
    }
}
