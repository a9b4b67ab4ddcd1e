// A thread has MAP_WORDS words of the result, a workgroup apart, and of each all elements that share it.
// `element(i)` is the kernel's. Parameter 1 is how many elements there are.
const MAP_WORDS = 4u;
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let count = param(1u);
    let start = (group.y * groups.x + group.x) * (WORKGROUP * MAP_WORDS) + local;
    for (var n = 0u; n < MAP_WORDS; n++) {
        let word = start + n * WORKGROUP;
        let first = word * OUT_LANES;
        if (first >= count) { return; }
        var bits = 0u;
        for (var lane = 0u; lane < OUT_LANES; lane++) {
            let i = first + lane;
            if (i < count) { bits |= encode_out(element(i)) << (lane * OUT_BITS); }
        }
        out[word] = bits;
    }
}
