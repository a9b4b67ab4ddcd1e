// Where element `i` of a walk lies in an operand. STRIDED is the parameter at which the walk is
// described: an offset for each of OPERANDS operands, eight sizes, eight strides for each.
fn position(i: u32, operand: u32) -> u32 {
    let sizes = STRIDED + OPERANDS;
    let strides = sizes + 8u + 8u * operand;
    var rest = i;
    var place = param(STRIDED + operand);
    for (var axis = RANK - 1u; axis > 0u; axis--) {
        let size = param(sizes + axis);
        let outer = rest / size;
        place += (rest - outer * size) * param(strides + axis);
        rest = outer;
    }
    return place + rest * param(strides);
}
