// Many elements to one. A workgroup has ACROSS results side by side, its other threads share their
// elements; several workgroups share those of one result, for a second step to join what they found, a
// slice after the other. Two walks: the results' axes (one operand), then the axes that disappear.
// Parameters: results, elements of each, elements of a slice, elements of what is reduced, slices; then
// the walks.
var<workgroup> shared_values: array<X, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let own = own_group(threads);
    let slices = param(5u);
    let slice = own % slices;
    let result = own / slices * ACROSS + local % ACROSS;
    let count = param(2u);
    let each = param(3u);
    let end = min(count, (slice + 1u) * each);
    let start = position(min(result, param(1u) - 1u), 0u);
    var value = start_value();
    // Four are asked for before the first is there.
    let apart = WORKGROUP / ACROSS;
    var i = slice * each + local / ACROSS;
    for (; i + 3u * apart < end; i += 4u * apart) {
        let x0 = load_x(start + reduced_position(i));
        let x1 = load_x(start + reduced_position(i + apart));
        let x2 = load_x(start + reduced_position(i + 2u * apart));
        let x3 = load_x(start + reduced_position(i + 3u * apart));
        value = joined(joined(joined(joined(value, x0), x1), x2), x3);
    }
    for (; i < end; i += apart) { value = joined(value, load_x(start + reduced_position(i))); }
    shared_values[local] = value;
    workgroupBarrier();
    // Neighbours first: of zeros with two signs the last one counts, as in order.
    for (var step = ACROSS; step < WORKGROUP; step = step * 2u) {
        let at = local / ACROSS * (2u * step) + local % ACROSS;
        if (at + step < WORKGROUP) { shared_values[at] = joined(shared_values[at], shared_values[at + step]); }
        workgroupBarrier();
    }
    if (local < ACROSS && result < param(1u)) {
        out[slice * param(1u) + result] = encode_out(done(shared_values[local], param(4u)));
    }
}
