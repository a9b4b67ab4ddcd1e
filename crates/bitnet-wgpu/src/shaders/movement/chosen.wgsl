// The place along an axis of `size` that index `i` names: negative ones count from the end. What is out
// of range is reported and gives `size`. Kinds: unsigned, signed, and 64 bits in two words.
fn chosen(i: u32, size: u32) -> u32 {
    var place: u32;
    var wanted: u32;
    if (KIND_OF_INDEX == 2u) {
        wanted = u32(load_indices(2u * i));
        let high = u32(load_indices(2u * i + 1u));
        if (high != 0u - (wanted >> 31u)) {
            // The nearest number that a report can hold.
            wanted = select(0x7fffffffu, 0x80000000u, (high >> 31u) == 1u);
            report(wanted);
            return size;
        }
    } else {
        wanted = u32(load_indices(i));
    }
    place = wanted;
    if (KIND_OF_INDEX > 0u && (place >> 31u) == 1u) { place += size; }
    if (place >= size) {
        report(wanted);
        return size;
    }
    return place;
}
