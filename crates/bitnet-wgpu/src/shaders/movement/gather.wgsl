// Operand 0 of the walk is the index, operand 1 is x standing still along its axis, along which the
// index goes. Parameters: count, size of the axis, its stride.
fn element(i: u32) -> OUT {
    let wanted = load_indices(position(i, 0u));
    let size = param(2u);
    var place = u32(wanted);
    if (i32(place) < 0) { place += size; }
    if (place >= size) {
        report(u32(wanted));
        return OUT();
    }
    return load_x(position(i, 1u) + place * param(3u));
}
