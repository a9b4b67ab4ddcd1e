// What runs along an axis, every step of it. A workgroup for each line: blocks of as many elements as it
// has threads, in each of which neighbours join at doubling distances, and what the blocks before gave.
// The walk over the lines steps through x and the result. Parameters: lines, elements of each, strides
// along them.
struct State { value: Value, place: u32 }
const NOWHERE = 0xffffffffu;
var<workgroup> shared_values: array<Value, WORKGROUP>;
var<workgroup> shared_places: array<u32, WORKGROUP>;

fn both(before: State, after: State) -> State {
    if (before.place == NOWHERE) { return after; }
    if (after.place == NOWHERE) { return before; }
    return joined(before, after);
}

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let line = own_group(threads);
    if (line >= param(1u)) { return; }
    let length = param(2u);
    let start = position(line, 0u);
    let to = position(line, 1u);
    var carried = State(Value(), NOWHERE);
    for (var first = 0u; first < length; first += WORKGROUP) {
        let n = first + local;
        var own = State(Value(), NOWHERE);
        if (n < length) { own = State(widened(load_x(start + n * param(3u))), n); }
        for (var distance = 1u; distance < WORKGROUP; distance = distance * 2u) {
            shared_values[local] = own.value;
            shared_places[local] = own.place;
            workgroupBarrier();
            if (local >= distance) {
                own = both(State(shared_values[local - distance], shared_places[local - distance]), own);
            }
            workgroupBarrier();
        }
        own = both(carried, own);
        if (n < length) { emit(to + n * param(4u), own); }
        if (local == WORKGROUP - 1u) {
            shared_values[0] = own.value;
            shared_places[0] = own.place;
        }
        workgroupBarrier();
        carried = State(shared_values[0], shared_places[0]);
        workgroupBarrier();
    }
}
