// Operand 0 of the walk is the index, operand 1 is x standing still along its axis, along which the
// index goes. Parameters: count, size of the axis, its stride.
fn element(i: u32) -> OUT {
    let place = chosen(position(i, 0u), param(2u));
    if (place == param(2u)) { return OUT(); }
    return load_x(position(i, 1u) + place * param(3u));
}
