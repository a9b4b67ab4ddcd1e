// What the threads of a workgroup that has one row find out together.
var<workgroup> shared_floats: array<f32, WORKGROUP>;
fn sum_of_all(value: f32, local: u32) -> f32 {
    shared_floats[local] = value;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        if (local < half) { shared_floats[local] += shared_floats[local + half]; }
        workgroupBarrier();
    }
    let sum = shared_floats[0];
    workgroupBarrier();
    return sum;
}
// The largest of all; NaN when one is.
fn largest_of_all(value: f32, local: u32) -> f32 {
    shared_floats[local] = value;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        if (local < half) {
            let a = shared_floats[local];
            let b = shared_floats[local + half];
            shared_floats[local] = select(select(b, a, a > b), a, is_nan(a));
        }
        workgroupBarrier();
    }
    let largest = shared_floats[0];
    workgroupBarrier();
    return largest;
}
