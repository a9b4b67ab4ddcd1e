// Four neighbouring outer places (rows of a, columns of b) by four inner ones of OPERAND as f32, zeros
// beyond the ends: a column of the block for each inner place.
fn block_of_OPERAND(start: u32, outer: u32, inner: u32, ends: vec2<u32>, steps: vec2<u32>) -> mat4x4<f32> {
    var block = mat4x4<f32>();
    let at = start + outer * steps.x + inner * steps.y;
    for (var n = 0u; n < 4u; n++) {
        if (LIES_UPPER == OUTER_RUNS) {
            if (inner + n < ends.y && outer < ends.x) { block[n] = four_OPERAND(at + n * steps.y); }
        } else if (LIES_UPPER == INNER_RUNS) {
            if (outer + n < ends.x && inner < ends.y) { block[n] = four_OPERAND(at + n * steps.x); }
        } else {
            for (var c = 0u; c < 4u; c++) {
                if (inner + n < ends.y && outer + c < ends.x) {
                    block[n][c] = load_OPERAND(at + n * steps.y + c * steps.x);
                }
            }
        }
    }
    if (LIES_UPPER == INNER_RUNS) { return transpose(block); }
    return block;
}
