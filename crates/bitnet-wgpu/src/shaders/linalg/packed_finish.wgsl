// The result from the sum of products: two-bit codes are one more than the weights.
fn finished(sum: i32, token: u32, row: u32) -> f32 {
    var exact = sum;
    if (TWO_BITS == 1u) { exact -= load_sums_of_codes(token); }
    return f32(exact) * (load_scales(token) * load_weight_scales(row));
}
