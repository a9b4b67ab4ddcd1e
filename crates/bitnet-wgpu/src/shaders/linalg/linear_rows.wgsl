// Products of a few rows of floats with a dense weight [rows, columns] of words: LANES threads share a
// row of the weight. Parameters: tokens, rows, words in a row, start of x, first word of the weight.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let lane = local % LANES;
    let row = own_group(threads) * (WORKGROUP / LANES) + local / LANES;
    let rows = param(2u);
    let words = param(3u);
    let columns = words * WEIGHT_LANES;
    let start = (param(5u) + min(row, rows - 1u) * words) * WEIGHT_LANES;
    var sums: array<f32, TOKENS>;
    for (var t = 0u; t < TOKENS; t++) { sums[t] = 0.0; }
    for (var word = lane; word < words; word += LANES) {
        for (var n = 0u; n < WEIGHT_LANES; n++) {
            let w = load_weight(start + word * WEIGHT_LANES + n);
            for (var t = 0u; t < TOKENS; t++) {
                sums[t] += w * load_x(param(4u) + t * columns + word * WEIGHT_LANES + n);
            }
        }
    }
    for (var t = 0u; t < TOKENS; t++) {
        let sum = sum_of_float_lanes(sums[t], LANES, threads);
        if (lane == 0u && row < rows && t < param(1u)) { out[t * rows + row] = encode_out(sum); }
    }
}
