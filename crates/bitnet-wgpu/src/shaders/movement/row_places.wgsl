// Element `i` of rows [batch, tokens, a, b] that are written into [batch, capacity, a, b] where positions
// [batch, tokens] say. Parameters from `first` on: count, capacity, tokens, a, b; start and four strides
// of the target, of the rows; start and two strides of the positions.
struct RowPlaces { from_place: u32, to_place: u32, is_inside: bool }
fn row_places(i: u32, first: u32) -> RowPlaces {
    let tokens = param(first + 2u);
    let a = param(first + 3u);
    let b = param(first + 4u);
    let rest = i / b;
    let fourth = i - rest * b;
    let outer = rest / a;
    let third = rest - outer * a;
    let batch = outer / tokens;
    let token = outer - batch * tokens;
    let place = positions[param(first + 15u) + batch * param(first + 16u) + token * param(first + 17u)];
    let is_inside = place < param(first + 1u);
    if (!is_inside) { report(place); }
    return RowPlaces(
        param(first + 10u) + batch * param(first + 11u) + token * param(first + 12u)
            + third * param(first + 13u) + fourth * param(first + 14u),
        param(first + 5u) + batch * param(first + 6u) + place * param(first + 7u)
            + third * param(first + 8u) + fourth * param(first + 9u),
        is_inside,
    );
}
