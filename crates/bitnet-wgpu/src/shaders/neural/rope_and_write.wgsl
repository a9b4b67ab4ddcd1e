// The rotation of rope.wgsl, and of what it rotates and reads the keys and values written into a
// cache: a thread for each element of the three. Parameters of the rotation (16), then of the writing
// of keys and of values as in write_rows.wgsl, from the count on (18 each).
fn element_of_rows(i: u32, first: u32, is_key: bool) {
    let tokens = param(first + 2u);
    let a = param(first + 3u);
    let b = param(first + 4u);
    var rest = i / b;
    let fourth = i - rest * b;
    let outer = rest / a;
    let third = rest - outer * a;
    let batch = outer / tokens;
    let token = outer - batch * tokens;
    let place = positions[param(first + 15u) + batch * param(first + 16u) + token * param(first + 17u)];
    if (place >= param(first + 1u)) {
        report(place);
        return;
    }
    let to = param(first + 5u) + batch * param(first + 6u) + place * param(first + 7u)
        + third * param(first + 8u) + fourth * param(first + 9u);
    let source = param(first + 10u) + batch * param(first + 11u) + token * param(first + 12u)
        + third * param(first + 13u) + fourth * param(first + 14u);
    if (is_key) { keys[to] = bitcast<u32>(element(source)); } else { values[to] = x[source]; }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + local;
    let rotated = param(1u);
    let rows = param(16u);
    if (i < rotated) {
        out[i] = bitcast<u32>(element(i));
    } else if (i < rotated + rows) {
        element_of_rows(i - rotated, 16u, true);
    } else if (i < rotated + 2u * rows) {
        element_of_rows(i - rotated - rows, 34u, false);
    }
}
