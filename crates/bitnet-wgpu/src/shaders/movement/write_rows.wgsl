// A thread for each element, whose places row_places.wgsl says; its parameters begin at 1.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + local;
    if (i >= param(1u)) { return; }
    let places = row_places(i, 1u);
    if (places.is_inside) { out[places.to_place] = rows[places.from_place]; }
}
