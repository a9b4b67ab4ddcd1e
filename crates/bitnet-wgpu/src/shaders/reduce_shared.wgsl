// What the threads of a workgroup find out together, by way of shared memory.
var<workgroup> shared_floats: array<f32, WORKGROUP>;
var<workgroup> shared_integers: array<i32, WORKGROUP>;

fn sum_of_all(value: f32, threads: Threads) -> f32 { return sum_of_float_lanes(value, WORKGROUP, threads); }
fn total_of_all(value: i32, threads: Threads) -> i32 { return sum_of_lanes(value, WORKGROUP, threads); }
// The largest of all; NaN when one is.
fn largest_of_all(value: f32, threads: Threads) -> f32 {
    shared_floats[threads.local] = value;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        if (threads.local < half) {
            shared_floats[threads.local] = larger_of(shared_floats[threads.local], shared_floats[threads.local + half]);
        }
        workgroupBarrier();
    }
    let largest = shared_floats[0];
    workgroupBarrier();
    return largest;
}
// The sum of `lanes` neighbours, which all of them know; all threads come here together.
fn sum_of_lanes(value: i32, lanes: u32, threads: Threads) -> i32 {
    let lane = threads.local % lanes;
    shared_integers[threads.local] = value;
    workgroupBarrier();
    for (var half = lanes / 2u; half > 0u; half = half / 2u) {
        if (lane < half) { shared_integers[threads.local] += shared_integers[threads.local + half]; }
        workgroupBarrier();
    }
    let sum = shared_integers[threads.local - lane];
    workgroupBarrier();
    return sum;
}
fn sum_of_float_lanes(value: f32, lanes: u32, threads: Threads) -> f32 {
    let lane = threads.local % lanes;
    shared_floats[threads.local] = value;
    workgroupBarrier();
    for (var half = lanes / 2u; half > 0u; half = half / 2u) {
        if (lane < half) { shared_floats[threads.local] += shared_floats[threads.local + half]; }
        workgroupBarrier();
    }
    let sum = shared_floats[threads.local - lane];
    workgroupBarrier();
    return sum;
}
