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
// The largest of each of two numbers.
fn most_of_all(value: vec2<u32>, threads: Threads) -> vec2<u32> {
    return vec2<u32>(most_of_one(value.x, threads), most_of_one(value.y, threads));
}
fn most_of_one(value: u32, threads: Threads) -> u32 {
    shared_integers[threads.local] = bitcast<i32>(value);
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        if (threads.local < half) {
            let other = bitcast<u32>(shared_integers[threads.local + half]);
            shared_integers[threads.local] = bitcast<i32>(max(bitcast<u32>(shared_integers[threads.local]), other));
        }
        workgroupBarrier();
    }
    let most = bitcast<u32>(shared_integers[0]);
    workgroupBarrier();
    return most;
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
