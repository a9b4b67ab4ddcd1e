// A row as int8 codes and what they count: the largest magnitude becomes 127.
struct Extent { largest: u32, spoiled: u32 }
// With another number of the row, by its bits, which are ordered as magnitudes are: NaN is passed over, and
// what is not finite spoils it.
fn extended(extent: Extent, v: f32) -> Extent {
    let size = bitcast<u32>(v) & 0x7fffffffu;
    return Extent(
        max(extent.largest, select(size, 0u, size > 0x7f800000u)),
        max(extent.spoiled, select(0u, 1u, size >= 0x7f800000u)),
    );
}
struct RowScale { factor: f32, of_code: f32 }
// What numbers are multiplied with, and what a code counts: NaN in a spoiled row.
fn row_scale_of(own: Extent, threads: Threads) -> RowScale {
    let all = most_of_all(vec2<u32>(own.largest, own.spoiled), threads);
    let bounded = clamp(bitcast<f32>(all.x), 1e-5, 3.4028234e38);
    let nan = bitcast<f32>(0x7fc00000u | param(63u));
    return RowScale(divide(127.0, bounded), select(divide(bounded, 127.0), nan, all.y > 0u));
}
// To the nearest, halves to even; 0 for NaN.
fn code_of(v: f32, factor: f32) -> i32 {
    return select(i32(clamp(round(v * factor), -128.0, 127.0)), 0, is_nan(v));
}
// Among the four of a word.
fn in_word(code: i32, place: u32) -> u32 { return (bitcast<u32>(code) & 255u) << (8u * place); }
