// Where element `i` of those that become one lies behind the first. REDUCED is the parameter at which the
// walk over their axes is described, REDUCED_RANK how many there are.
fn reduced_position(i: u32) -> u32 {
    var rest = i;
    var place = 0u;
    for (var axis = REDUCED_RANK - 1u; axis > 0u; axis--) {
        let size = param(REDUCED + 1u + axis);
        let outer = rest / size;
        place += (rest - outer * size) * param(REDUCED + 9u + axis);
        rest = outer;
    }
    return place + rest * param(REDUCED + 9u);
}
