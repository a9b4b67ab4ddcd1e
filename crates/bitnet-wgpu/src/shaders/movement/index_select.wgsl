// x is [outer, size, inner] in a row, the result [outer, chosen, inner].
// Parameters: count, start of x, start of the indices, inner, chosen, size.
fn element(i: u32) -> OUT {
    let inner = param(4u);
    let chosen = param(5u);
    let size = param(6u);
    let row = i / inner;
    let outer = row / chosen;
    let wanted = load_indices(param(3u) + (row - outer * chosen));
    var place = u32(wanted);
    if (SIGNED == 1u && i32(place) < 0) { place += size; }
    if (place >= size) {
        report(u32(wanted));
        return OUT();
    }
    return load_x(param(2u) + (outer * size + place) * inner + (i - row * inner));
}
