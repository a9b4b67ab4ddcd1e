// Elements written where an index says, in its order. A thread for each line along the axis: what meets
// in one place comes from one line. The walk over the lines steps through the indices, the elements and
// the result. Parameters: lines, indices of a line, size of the axis, strides along it of all three.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let line = own_element(threads);
    if (line >= param(1u)) { return; }
    let size = param(3u);
    let first = vec3<u32>(position(line, 0u), position(line, 1u), position(line, 2u));
    for (var n = 0u; n < param(2u); n++) {
        let place = chosen(first.x + n * param(4u), size);
        if (place < size) {
            let at = first.z + place * param(6u);
            store_out(at, joined(load_out(at), load_x(first.y + n * param(5u))));
        }
    }
}
