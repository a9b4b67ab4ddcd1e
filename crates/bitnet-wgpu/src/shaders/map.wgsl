// A thread has MAP_WORDS words of the result, a workgroup apart, and of each all elements that share it.
// It works all of them out before it writes one: a driver does not read past a write. `element(i)` is the
// kernel's. Parameter 1 is how many elements there are.
const MAP_WORDS = 4u;
@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let count = param(1u);
    let start = own_group(threads) * (WORKGROUP * MAP_WORDS) + local;
    var words: array<u32, MAP_WORDS>;
    for (var n = 0u; n < MAP_WORDS; n++) {
        let first = (start + n * WORKGROUP) * OUT_LANES;
        var bits = 0u;
        for (var lane = 0u; lane < OUT_LANES; lane++) {
            // Beyond the end the last one again, for nobody.
            bits |= encode_out(element(min(first + lane, count - 1u))) << (lane * OUT_BITS);
        }
        words[n] = bits;
    }
    for (var n = 0u; n < MAP_WORDS; n++) {
        let word = start + n * WORKGROUP;
        if (word * OUT_LANES < count) { out[word] = words[n]; }
    }
}
