// Products of matrices of floats with any strides. What costs is bringing operands to where they are
// multiplied, so a thread has BLOCKS by BLOCKS blocks of four by four results: it multiplies each number
// that it takes from shared memory 4 BLOCKS times. A workgroup has a tile of 64 BLOCKS rows and columns;
// steps of 16 columns of a and rows of b go through shared memory as f32, in fours of neighbouring rows
// or columns. A step's numbers are asked for before the products of the step before.
//
// Words of shorter types have one writer. Batches are the third axis of the grid; a walk of two operands
// says where the matrices of a batch begin. Parameters: m, n, k; strides of a (row, column), of b
// (row, column); then the walk.
const TILE = 64u * BLOCKS;
const FOURS = TILE / 4u;
const STEP = 16u;
const PITCH = FOURS + 1u; // one more, so that neighbouring rows begin in different banks
var<workgroup> tile_a: array<vec4<f32>, STEP * PITCH>;
var<workgroup> tile_b: array<vec4<f32>, STEP * PITCH>;

// Where the block is that a thread brings: threads side by side read what lies side by side.
fn own_place(piece: u32, lies: u32) -> vec2<u32> {
    if (lies == INNER_RUNS) { return 4u * vec2<u32>(piece / 4u, piece % 4u); }
    return 4u * vec2<u32>(piece % FOURS, piece / FOURS);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let m = param(1u);
    let n = param(2u);
    let k = param(3u);
    let first_row = group.y * TILE;
    let first_column = group.x * TILE;
    // 32 neighbours have eight by four blocks: few different numbers at a time.
    let tx = local % 8u + 8u * (local / 32u % 2u);
    let ty = local / 8u % 4u + 4u * (local / 64u);
    // Half of the threads bring blocks of a, the others of b.
    let brings_a = local < WORKGROUP / 2u;
    let piece = local % (WORKGROUP / 2u);
    let brings = piece < FOURS * (STEP / 4u);
    var place = own_place(piece, LIES_B);
    var start = position(group.z, 1u);
    if (brings_a) {
        place = own_place(piece, LIES_A);
        start = position(group.z, 0u);
    }
    let place_in_tile = place.y * PITCH + place.x / 4u;
    var sums: array<vec4<f32>, 4u * BLOCKS * BLOCKS>;
    for (var i = 0u; i < 4u * BLOCKS * BLOCKS; i++) { sums[i] = vec4<f32>(0.0); }
    var block = mat4x4<f32>();
    for (var step = 0u; step < k + STEP; step += STEP) {
        if (step > 0u) {
            if (brings) {
                for (var inner = 0u; inner < 4u; inner++) {
                    if (brings_a) { tile_a[place_in_tile + inner * PITCH] = block[inner]; }
                    else { tile_b[place_in_tile + inner * PITCH] = block[inner]; }
                }
            }
            workgroupBarrier();
        }
        if (step < k && brings) {
            let inner = step + place.y;
            if (brings_a) {
                let steps = vec2<u32>(param(4u), param(5u));
                block = block_of_a(start, first_row + place.x, inner, vec2<u32>(m, k), steps);
            } else {
                let steps = vec2<u32>(param(7u), param(6u));
                block = block_of_b(start, first_column + place.x, inner, vec2<u32>(n, k), steps);
            }
        }
        if (step > 0u) {
            for (var inner = 0u; inner < STEP; inner++) {
                var a: array<vec4<f32>, BLOCKS>;
                var b: array<vec4<f32>, BLOCKS>;
                for (var i = 0u; i < BLOCKS; i++) {
                    a[i] = tile_a[inner * PITCH + ty + 16u * i];
                    b[i] = tile_b[inner * PITCH + tx + 16u * i];
                }
                for (var i = 0u; i < BLOCKS; i++) {
                    for (var r = 0u; r < 4u; r++) {
                        for (var j = 0u; j < BLOCKS; j++) { sums[(4u * i + r) * BLOCKS + j] += a[i][r] * b[j]; }
                    }
                }
            }
            workgroupBarrier();
        }
    }
    for (var i = 0u; i < 4u * BLOCKS; i++) {
        let row = first_row + 64u * (i / 4u) + 4u * ty + i % 4u;
        for (var j = 0u; j < 4u * BLOCKS; j += OUT_LANES) {
            let column = first_column + 64u * (j / 4u) + 4u * tx + j % 4u;
            if (row < m && column < n) {
                var bits = 0u;
                for (var lane = 0u; lane < OUT_LANES; lane++) {
                    bits |= encode_out(sums[i * BLOCKS + j / 4u][j % 4u + lane]) << (lane * OUT_BITS);
                }
                out[((group.z * m + row) * n + column) / OUT_LANES] = bits;
            }
        }
    }
}
