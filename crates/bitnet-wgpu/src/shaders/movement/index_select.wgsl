// x is [outer, size, inner] in a row, the result [outer, chosen, inner].
// Parameters: count, start of x, start of the indices, inner, chosen, size.
fn element(i: u32) -> OUT {
    let inner = param(4u);
    let count = param(5u);
    let size = param(6u);
    let row = i / inner;
    let outer = row / count;
    let place = chosen(param(3u) + (row - outer * count), size);
    if (place == size) { return OUT(); }
    return load_x(param(2u) + (outer * size + place) * inner + (i - row * inner));
}
