// a / b for ordinary numbers, rounded correctly: a driver may be two units off, and codes are decided
// by this. The remainder is exact, being summed from products of halves of twelve bits.
fn quotient(a: f32, b: f32) -> f32 {
    let q = a / b;
    let q_high = bitcast<f32>(bitcast<u32>(q) & 0xfffff000u);
    let q_low = q - q_high;
    let b_high = bitcast<f32>(bitcast<u32>(b) & 0xfffff000u);
    let b_low = b - b_high;
    let rest = (((a - q_high * b_high) - q_high * b_low) - q_low * b_high) - q_low * b_low;
    let correction = rest / b;
    let corrected = q + correction;
    if (is_nan(corrected) || is_infinite(corrected)) { return q; }
    return corrected;
}
