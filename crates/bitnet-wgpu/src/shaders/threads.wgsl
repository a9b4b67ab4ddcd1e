// Who a thread is, in kernels that ask nothing of subgroups.
struct Threads {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
}
// The number of a thread; those of neighbouring numbers can share a row.
fn number(threads: Threads) -> u32 { return threads.local; }
