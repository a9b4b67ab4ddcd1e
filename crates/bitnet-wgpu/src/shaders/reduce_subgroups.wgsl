// What the threads of a workgroup find out together: first those of a subgroup among themselves, then
// the subgroups by way of shared memory. Lanes that share a row are never more than a subgroup has.
struct Threads {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}
// One for each subgroup, which has four threads at least.
var<workgroup> shared_floats: array<f32, WORKGROUP / 4u>;
var<workgroup> shared_integers: array<i32, WORKGROUP / 4u>;
var<workgroup> shared_pairs: array<vec2<u32>, WORKGROUP / 4u>;

// The number of a thread; those of neighbouring numbers can share a row.
fn number(threads: Threads) -> u32 { return threads.subgroup * threads.subgroup_size + threads.lane; }

fn sum_of_all(value: f32, threads: Threads) -> f32 {
    let own = subgroupAdd(value);
    if (threads.lane == 0u) { shared_floats[threads.subgroup] = own; }
    workgroupBarrier();
    var sum = 0.0;
    for (var n = 0u; n < threads.subgroups; n++) { sum += shared_floats[n]; }
    workgroupBarrier();
    return sum;
}
fn total_of_all(value: i32, threads: Threads) -> i32 {
    let own = subgroupAdd(value);
    if (threads.lane == 0u) { shared_integers[threads.subgroup] = own; }
    workgroupBarrier();
    var total = 0;
    for (var n = 0u; n < threads.subgroups; n++) { total += shared_integers[n]; }
    workgroupBarrier();
    return total;
}
// The largest of all; NaN when one is.
fn largest_of_all(value: f32, threads: Threads) -> f32 {
    // What the language's own maximum says of NaN is up to the driver.
    let has_nan = subgroupAny(is_nan(value));
    let most = subgroupMax(select(value, -3.4028234e38, is_nan(value)));
    if (threads.lane == 0u) {
        shared_floats[threads.subgroup] = select(most, bitcast<f32>(0x7fc00000u | param(63u)), has_nan);
    }
    workgroupBarrier();
    var largest = shared_floats[0];
    for (var n = 1u; n < threads.subgroups; n++) { largest = larger_of(largest, shared_floats[n]); }
    workgroupBarrier();
    return largest;
}
// The largest of each of two numbers.
fn most_of_all(value: vec2<u32>, threads: Threads) -> vec2<u32> {
    let own = vec2<u32>(subgroupMax(value.x), subgroupMax(value.y));
    if (threads.lane == 0u) { shared_pairs[threads.subgroup] = own; }
    workgroupBarrier();
    var most = shared_pairs[0];
    for (var n = 1u; n < threads.subgroups; n++) { most = max(most, shared_pairs[n]); }
    workgroupBarrier();
    return most;
}
// The sum of `lanes` neighbours; all threads come here together.
fn sum_of_lanes(value: i32, lanes: u32, threads: Threads) -> i32 {
    var sum = value;
    for (var distance = lanes / 2u; distance > 0u; distance = distance / 2u) {
        sum += subgroupShuffleXor(sum, distance);
    }
    return sum;
}
fn sum_of_float_lanes(value: f32, lanes: u32, threads: Threads) -> f32 {
    var sum = value;
    for (var distance = lanes / 2u; distance > 0u; distance = distance / 2u) {
        sum += subgroupShuffleXor(sum, distance);
    }
    return sum;
}
