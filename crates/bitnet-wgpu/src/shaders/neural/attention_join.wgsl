// One result of what SLICES of the keys of a query gave in attention.wgsl: each counts by how far its
// largest score is from the largest of all. A workgroup for each query; a thread has a dimension, and
// SPLITS of them share the slices. Parameters: queries, width, slices.
const SPLITS = WORKGROUP / DIMS;
var<workgroup> shares: array<f32, WORKGROUP>;
var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let query = own_group(threads);
    if (query >= param(1u)) { return; }
    let width = param(2u);
    let slices = param(3u);
    let start = query * slices * (width + 2u);
    var largest = bitcast<f32>(0xff800000u | param(63u));
    var total = 0.0;
    if (local < slices) {
        let own = start + local * (width + 2u) + width;
        largest = load_parts(own);
        total = load_parts(own + 1u);
    }
    let share = exp_of(largest - largest_of_all(largest, threads));
    shares[local] = share;
    total = sum_of_all(share * total, threads); // a barrier: the shares are there
    let dim = local % DIMS;
    var sum = 0.0;
    if (dim < width) {
        for (var slice = local / DIMS; slice < slices; slice += SPLITS) {
            sum += shares[slice] * load_parts(start + slice * (width + 2u) + dim);
        }
    }
    sums[local] = sum;
    workgroupBarrier();
    if (local < width) {
        for (var n = 1u; n < SPLITS; n++) { sum += sums[local + n * DIMS]; }
        out[query * width + local] = encode_out(sum / total);
    }
}
