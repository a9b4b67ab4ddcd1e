// A thread for each element, whose places row_places.wgsl says; its parameters begin at 1.
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let i = own_element(threads);
    if (i >= param(1u)) { return; }
    let places = row_places(i, 1u);
    if (places.is_inside) { out[places.to_place] = rows[places.from_place]; }
}
