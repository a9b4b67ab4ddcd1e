// A row as int8 codes and what they count: the largest magnitude becomes 127.
struct Extent { largest: f32, spoiled: f32 }
// With another number of the row: NaN is passed over, and what is not finite spoils it.
fn extended(extent: Extent, v: f32) -> Extent {
    let size = magnitude(v);
    return Extent(
        select(max(extent.largest, size), extent.largest, is_nan(size)),
        select(extent.spoiled, 1.0, is_nan(size) || is_infinite(size)),
    );
}
struct RowScale { factor: f32, of_code: f32 }
// What numbers are multiplied with, and what a code counts: NaN in a spoiled row.
fn row_scale_of(own: Extent, threads: Threads) -> RowScale {
    let bounded = clamp(largest_of_all(own.largest, threads), 1e-5, 3.4028234e38);
    let spoiled = sum_of_all(own.spoiled, threads) > 0.0;
    let nan = bitcast<f32>(0x7fc00000u | param(63u));
    return RowScale(divide(127.0, bounded), select(divide(bounded, 127.0), nan, spoiled));
}
// To the nearest, halves to even; 0 for NaN.
fn code_of(v: f32, factor: f32) -> i32 {
    return select(i32(clamp(round(v * factor), -128.0, 127.0)), 0, is_nan(v));
}
// Among the four of a word.
fn in_word(code: i32, place: u32) -> u32 { return (bitcast<u32>(code) & 255u) << (8u * place); }
