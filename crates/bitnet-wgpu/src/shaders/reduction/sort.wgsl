// The first elements of a line in order, and their places. A workgroup for each line.
//
// Every element has a key, an unsigned number in the order that is asked for. Which key the last of the
// wanted ones has is found eight bits at a time: how many elements have each value of them, among those
// that agree in the bits before. What is before that key is wanted, and of its equals the first ones. They
// are brought together, and put in order by key and place.
//
// Parameters: lines, elements of each, stride between them, how many are wanted; then the walk over the
// lines. PLACES is a power of two that is at least as many.
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> taken: atomic<u32>;
var<workgroup> chosen_bits: u32;
var<workgroup> still_wanted: u32;
var<workgroup> equals: u32;
var<workgroup> keys: array<u32, PLACES>;
var<workgroup> places: array<u32, PLACES>;

fn is_out_of_order(a: u32, b: u32) -> bool {
    return keys[a] > keys[b] || (keys[a] == keys[b] && places[a] > places[b]);
}
fn take(key: u32, place: u32, slot: u32) {
    keys[slot] = key;
    places[slot] = place;
}

@compute @workgroup_size(WORKGROUP)
fn main(threads: Threads) {
    let local = number(threads);
    let line = own_group(threads);
    if (line >= param(1u)) { return; }
    let length = param(2u);
    let step = param(3u);
    let wanted = param(4u);
    let start = position(line, 0u);
    for (var n = local; n < PLACES; n += WORKGROUP) { take(0xffffffffu, 0xffffffffu, n); }
    if (local == 0u) { atomicStore(&taken, 0u); }
    workgroupBarrier();
    if (wanted == length) {
        for (var n = local; n < length; n += WORKGROUP) { take(key_of(load_x(start + n * step)), n, n); }
    } else {
        var known = 0u;
        var bits = 0u;
        var missing = wanted;
        for (var digit = 4u; digit > 0u; digit--) {
            let shift = 8u * (digit - 1u);
            for (var bin = local; bin < 256u; bin += WORKGROUP) { atomicStore(&bins[bin], 0u); }
            workgroupBarrier();
            for (var n = local; n < length; n += WORKGROUP) {
                let key = key_of(load_x(start + n * step));
                if ((key & known) == bits) { atomicAdd(&bins[(key >> shift) & 255u], 1u); }
            }
            workgroupBarrier();
            if (local == 0u) {
                var before = 0u;
                var bin = 0u;
                for (; bin < 255u; bin++) {
                    let count = atomicLoad(&bins[bin]);
                    if (before + count >= missing) { break; }
                    before += count;
                }
                chosen_bits = bits | (bin << shift);
                still_wanted = missing - before;
                equals = atomicLoad(&bins[bin]);
            }
            bits = workgroupUniformLoad(&chosen_bits);
            missing = workgroupUniformLoad(&still_wanted);
            known |= 255u << shift;
        }
        let all_equals = workgroupUniformLoad(&equals) == missing;
        for (var n = local; n < length; n += WORKGROUP) {
            let key = key_of(load_x(start + n * step));
            if (key < bits || (all_equals && key == bits)) { take(key, n, atomicAdd(&taken, 1u)); }
        }
        if (!all_equals) {
            // Of equals the first: each thread counts those of a stretch, then knows how many come before.
            let stretch = (length + WORKGROUP - 1u) / WORKGROUP;
            let begin = min(local * stretch, length);
            let end = min(begin + stretch, length);
            var count = 0u;
            for (var n = begin; n < end; n++) {
                count += select(0u, 1u, key_of(load_x(start + n * step)) == bits);
            }
            atomicStore(&bins[local], count);
            workgroupBarrier();
            var rank = 0u;
            for (var other = 0u; other < local; other++) { rank += atomicLoad(&bins[other]); }
            for (var n = begin; n < end; n++) {
                if (rank < missing && key_of(load_x(start + n * step)) == bits) {
                    take(bits, n, wanted - missing + rank);
                    rank += 1u;
                }
            }
        }
    }
    workgroupBarrier();
    // Bitonic: runs of doubling length, each made of two that go opposite ways.
    for (var run = 2u; run <= PLACES; run = run * 2u) {
        for (var distance = run / 2u; distance > 0u; distance = distance / 2u) {
            for (var n = local; n < PLACES; n += WORKGROUP) {
                let other = n ^ distance;
                if (other > n && is_out_of_order(n, other) == ((n & run) == 0u)) {
                    let key = keys[n];
                    let place = places[n];
                    take(keys[other], places[other], n);
                    take(key, place, other);
                }
            }
            workgroupBarrier();
        }
    }
    for (var n = local; n < wanted; n += WORKGROUP) {
        let place = places[n];
        let to = line * wanted + n;
        store_out(to, load_x(start + place * step));
        store_found(2u * to, place);
        store_found(2u * to + 1u, 0u);
    }
}
