// Rows [batch, tokens, a, b] written into [batch, capacity, a, b] where positions [batch, tokens] say.
// Parameters: count, capacity, tokens, a, b; start and four strides of the target, of the rows; start
// and two strides of the positions.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + local;
    if (i >= param(1u)) { return; }
    let tokens = param(3u);
    let a = param(4u);
    let b = param(5u);
    var rest = i / b;
    let fourth = i - rest * b;
    let third_outer = rest / a;
    let third = rest - third_outer * a;
    let batch = third_outer / tokens;
    let token = third_outer - batch * tokens;
    let place = positions[param(16u) + batch * param(17u) + token * param(18u)];
    if (place >= param(2u)) {
        report(place);
        return;
    }
    let place_out = param(6u) + batch * param(7u) + place * param(8u) + third * param(9u) + fourth * param(10u);
    let source = param(11u) + batch * param(12u) + token * param(13u) + third * param(14u) + fourth * param(15u);
    out[place_out] = rows[source];
}
