// Many elements to one. A workgroup has ACROSS results side by side, its other threads share their
// elements; SLICES workgroups share those of one result, for a second step to join. Two walks: the
// results' axes (one operand), then the axes that disappear. Parameters: results, elements of each,
// elements of a slice; then the walks.
var<workgroup> shared_values: array<X, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let own = group.y * groups.x + group.x;
    let slice = own % SLICES;
    let result = own / SLICES * ACROSS + local % ACROSS;
    let count = param(2u);
    let each = param(3u);
    let end = min(count, (slice + 1u) * each);
    let start = position(min(result, param(1u) - 1u), 0u);
    var value = start_value();
    for (var i = slice * each + local / ACROSS; i < end; i += WORKGROUP / ACROSS) {
        value = joined(value, load_x(start + reduced_position(i)));
    }
    shared_values[local] = value;
    workgroupBarrier();
    // Neighbours first: of zeros with two signs the last one counts, as in order.
    for (var step = ACROSS; step < WORKGROUP; step = step * 2u) {
        let at = local / ACROSS * (2u * step) + local % ACROSS;
        if (at + step < WORKGROUP) { shared_values[at] = joined(shared_values[at], shared_values[at + step]); }
        workgroupBarrier();
    }
    if (local < ACROSS && result < param(1u)) {
        out[result * SLICES + slice] = encode_out(done(shared_values[local], param(4u)));
    }
}
