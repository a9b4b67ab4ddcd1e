// Many elements to one: WORKGROUP threads for each result. Two walks: the results' axes (one operand),
// then the axes that disappear. Parameters: results, elements of each, start of the second walk's
// parameters is REDUCED.
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
var<workgroup> shared_values: array<X, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let result = group.y * groups.x + group.x;
    if (result >= param(1u)) { return; }
    let count = param(2u);
    let start = position(result, 0u);
    var value = start_value();
    for (var i = local; i < count; i += WORKGROUP) {
        value = joined(value, load_x(start + reduced_position(i)));
    }
    shared_values[local] = value;
    workgroupBarrier();
    // Neighbours first: of zeros with two signs the last one counts, as in order.
    for (var step = 1u; step < WORKGROUP; step = step * 2u) {
        let at = local * 2u * step;
        if (at + step < WORKGROUP) { shared_values[at] = joined(shared_values[at], shared_values[at + step]); }
        workgroupBarrier();
    }
    if (local == 0u) { out[result] = encode_out(done(shared_values[0], count)); }
}
