// The place along an axis of `size` that an index names: negative ones count from the end. What is out
// of range is reported and gives `size`.
fn chosen(wanted: INDICES, size: u32) -> u32 {
    var place = u32(wanted);
    if (SIGNED == 1u && i32(place) < 0) { place += size; }
    if (place >= size) {
        report(u32(wanted));
        return size;
    }
    return place;
}
