// Products of matrices of f16 by the adapter's matrix units: a subgroup multiplies 16 by 16 numbers at
// once, with sums in f32. A workgroup has a tile of 128 by 128 results, each of its eight subgroups 64 by
// 32 of them. Steps of 32 columns of a and rows of b go through shared memory as they lie, four halves at
// a time; a step's numbers are asked for before the products of the step before.
//
// Parameters as in matmul.wgsl.
const TILE = 128u;
const STEP = 32u;
// Fours from one row in shared memory to the next: two more, so that rows begin in different banks.
const INNER_PITCH = STEP / 4u + 2u;
const OUTER_PITCH = TILE / 4u + 2u;
var<workgroup> tile_a: array<vec4<f16>, TILE * INNER_PITCH>;
var<workgroup> tile_b: array<vec4<f16>, TILE * INNER_PITCH>;
var<workgroup> finished: array<f32, 2048>;

alias Sums = coop_mat16x16<f32, C>;

// Eight halves that lie side by side. A thread brings two such of each operand in a step.
struct Eight { low: vec4<f16>, high: vec4<f16> }

// Where in a tile the `n`th eight is (outer, inner).
fn place_of(n: u32, lies: u32) -> vec2<u32> {
    if (lies == INNER_RUNS) { return vec2<u32>(n / 4u, n % 4u * 8u); }
    return vec2<u32>(n % 16u * 8u, n / 16u);
}
fn four_in_tile(place: vec2<u32>, lies: u32) -> u32 {
    if (lies == INNER_RUNS) { return place.x * INNER_PITCH + place.y / 4u; }
    return place.y * OUTER_PITCH + place.x / 4u;
}
fn eight_of_a(start: u32, place: vec2<u32>, ends: vec2<u32>) -> Eight {
    if (any(place >= ends)) { return Eight(); }
    let four = (start + place.x * param(4u) + place.y * param(5u)) / 4u;
    return Eight(a[four], a[four + 1u]);
}
fn eight_of_b(start: u32, place: vec2<u32>, ends: vec2<u32>) -> Eight {
    if (any(place >= ends)) { return Eight(); }
    let four = (start + place.x * param(7u) + place.y * param(6u)) / 4u;
    return Eight(b[four], b[four + 1u]);
}

// Sixteen rows of a by sixteen inner places, and these by sixteen columns of b.
fn part_of_a(row: u32, inner: u32) -> coop_mat16x16<f16, A> {
    if (LIES_A == INNER_RUNS) {
        return coopLoadT<coop_mat16x16<f16, A>>(&tile_a[row * INNER_PITCH + inner / 4u], INNER_PITCH);
    }
    return coopLoad<coop_mat16x16<f16, A>>(&tile_a[inner * OUTER_PITCH + row / 4u], OUTER_PITCH);
}
fn part_of_b(column: u32, inner: u32) -> coop_mat16x16<f16, B> {
    if (LIES_B == INNER_RUNS) {
        return coopLoad<coop_mat16x16<f16, B>>(&tile_b[column * INNER_PITCH + inner / 4u], INNER_PITCH);
    }
    return coopLoadT<coop_mat16x16<f16, B>>(&tile_b[inner * OUTER_PITCH + column / 4u], OUTER_PITCH);
}

// A subgroup's sums of 16 rows and columns, by way of its part of shared memory.
fn write(sums: Sums, subgroup: u32, lane: u32, first_row: u32, first_column: u32, batch: u32) {
    let part = subgroup * 256u;
    coopStoreT(sums, &finished[part], 16u);
    workgroupBarrier();
    let row = first_row + lane / 2u;
    let at = lane % 2u * 8u;
    for (var j = 0u; j < 8u; j += OUT_LANES) {
        let column = first_column + at + j;
        if (row < param(1u) && column < param(2u)) {
            var bits = 0u;
            for (var n = 0u; n < OUT_LANES; n++) {
                bits |= encode_out(finished[part + lane / 2u * 16u + at + j + n]) << (n * OUT_BITS);
            }
            out[((batch * param(1u) + row) * param(2u) + column) / OUT_LANES] = bits;
        }
    }
    workgroupBarrier();
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let local = subgroup * 32u + lane;
    let k = param(3u);
    let ends_a = vec2<u32>(param(1u), k);
    let ends_b = vec2<u32>(param(2u), k);
    let start_a = position(group.z, 0u);
    let start_b = position(group.z, 1u);
    let first_a = vec2<u32>(group.y * TILE, 0u);
    let first_b = vec2<u32>(group.x * TILE, 0u);
    let place_a0 = place_of(local, LIES_A);
    let place_a1 = place_of(local + WORKGROUP, LIES_A);
    let place_b0 = place_of(local, LIES_B);
    let place_b1 = place_of(local + WORKGROUP, LIES_B);
    let to_a0 = four_in_tile(place_a0, LIES_A);
    let to_a1 = four_in_tile(place_a1, LIES_A);
    let to_b0 = four_in_tile(place_b0, LIES_B);
    let to_b1 = four_in_tile(place_b1, LIES_B);
    let own_row = subgroup / 4u * 64u;
    let own_column = subgroup % 4u * 32u;
    var sums_00: Sums;
    var sums_01: Sums;
    var sums_10: Sums;
    var sums_11: Sums;
    var sums_20: Sums;
    var sums_21: Sums;
    var sums_30: Sums;
    var sums_31: Sums;
    var a0 = eight_of_a(start_a, first_a + place_a0, ends_a);
    var a1 = eight_of_a(start_a, first_a + place_a1, ends_a);
    var b0 = eight_of_b(start_b, first_b + place_b0, ends_b);
    var b1 = eight_of_b(start_b, first_b + place_b1, ends_b);
    for (var step = 0u; step < k; step += STEP) {
        tile_a[to_a0] = a0.low;
        tile_a[to_a0 + 1u] = a0.high;
        tile_a[to_a1] = a1.low;
        tile_a[to_a1 + 1u] = a1.high;
        tile_b[to_b0] = b0.low;
        tile_b[to_b0 + 1u] = b0.high;
        tile_b[to_b1] = b1.low;
        tile_b[to_b1 + 1u] = b1.high;
        workgroupBarrier();
        let next = vec2<u32>(0u, step + STEP);
        a0 = eight_of_a(start_a, first_a + place_a0 + next, ends_a);
        a1 = eight_of_a(start_a, first_a + place_a1 + next, ends_a);
        b0 = eight_of_b(start_b, first_b + place_b0 + next, ends_b);
        b1 = eight_of_b(start_b, first_b + place_b1 + next, ends_b);
        for (var inner = 0u; inner < STEP; inner += 16u) {
            let right_0 = part_of_b(own_column, inner);
            let right_1 = part_of_b(own_column + 16u, inner);
            let left_0 = part_of_a(own_row, inner);
            sums_00 = coopMultiplyAdd(left_0, right_0, sums_00);
            sums_01 = coopMultiplyAdd(left_0, right_1, sums_01);
            let left_1 = part_of_a(own_row + 16u, inner);
            sums_10 = coopMultiplyAdd(left_1, right_0, sums_10);
            sums_11 = coopMultiplyAdd(left_1, right_1, sums_11);
            let left_2 = part_of_a(own_row + 32u, inner);
            sums_20 = coopMultiplyAdd(left_2, right_0, sums_20);
            sums_21 = coopMultiplyAdd(left_2, right_1, sums_21);
            let left_3 = part_of_a(own_row + 48u, inner);
            sums_30 = coopMultiplyAdd(left_3, right_0, sums_30);
            sums_31 = coopMultiplyAdd(left_3, right_1, sums_31);
        }
        workgroupBarrier();
    }
    let row = first_a.x + own_row;
    let column = first_b.x + own_column;
    write(sums_00, subgroup, lane, row, column, group.z);
    write(sums_01, subgroup, lane, row, column + 16u, group.z);
    write(sums_10, subgroup, lane, row + 16u, column, group.z);
    write(sums_11, subgroup, lane, row + 16u, column + 16u, group.z);
    write(sums_20, subgroup, lane, row + 32u, column, group.z);
    write(sums_21, subgroup, lane, row + 32u, column + 16u, group.z);
    write(sums_30, subgroup, lane, row + 48u, column, group.z);
    write(sums_31, subgroup, lane, row + 48u, column + 16u, group.z);
}
