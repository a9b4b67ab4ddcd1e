// The rotation of rope.wgsl, and of what it rotates and reads the keys and values written into a
// cache: a thread for each element of the three. Parameters of the rotation (16), then of the writing
// of keys and of values as row_places.wgsl has them (18 each).
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let i = own_element(threads);
    let rotated = param(1u);
    let rows = param(16u);
    if (i < rotated) {
        out[i] = bitcast<u32>(element(i));
    } else if (i < rotated + rows) {
        let places = row_places(i - rotated, 16u);
        if (places.is_inside) { keys[places.to_place] = bitcast<u32>(element(places.from_place)); }
    } else if (i < rotated + 2u * rows) {
        let places = row_places(i - rotated - rows, 34u);
        if (places.is_inside) { values[places.to_place] = x[places.from_place]; }
    }
}
