// One thread for each word of the result: all elements that share it. `element(i)` is the kernel's.
// Parameter 1 is how many elements there are.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let word = (group.y * groups.x + group.x) * WORKGROUP + local;
    let first = word * OUT_LANES;
    let count = param(1u);
    if (first >= count) { return; }
    var bits = 0u;
    for (var lane = 0u; lane < OUT_LANES; lane++) {
        let i = first + lane;
        if (i < count) { bits |= encode_out(element(i)) << (lane * OUT_BITS); }
    }
    out[word] = bits;
}
