// x is [batch, tokens, heads, width] with strides. Parameters: count, tokens, heads, width; start and
// four strides of x; start and two strides of the positions; starts of the tables, their rows.
fn element(i: u32) -> OUT {
    let tokens = param(2u);
    let heads = param(3u);
    let width = param(4u);
    let half = width / 2u;
    var rest = i / width;
    let d = i - rest * width;
    let outer = rest / heads;
    let head = rest - outer * heads;
    let batch = outer / tokens;
    let token = outer - batch * tokens;
    let place = load_positions(param(10u) + batch * param(11u) + token * param(12u));
    if (place >= param(15u)) {
        report(place);
        return 0.0;
    }
    var pair = d / 2u;
    var partner = d ^ 1u;
    var is_first = (d & 1u) == 0u;
    if (HALVES == 1u) {
        is_first = d < half;
        pair = select(d - half, d, is_first);
        partner = select(pair, d + half, is_first);
    }
    let start = param(5u) + batch * param(6u) + token * param(7u) + head * param(8u);
    let own = load_x(start + d * param(9u));
    let other = load_x(start + partner * param(9u));
    let c = load_cos(param(13u) + place * half + pair);
    let s = load_sin(param(14u) + place * half + pair);
    return own * c + select(other * s, -(other * s), is_first);
}
