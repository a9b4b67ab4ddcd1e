//! Whether codes are ternary.

/// Whether none of the two-bit codes in `bytes`, four to a byte, is 3, which is no ternary
/// value. Applies to every layout of two-bit codes; reads at memory speed.
///
/// ```
/// # use bitnet_kernels::ternary::are_codes_ternary;
/// assert!(are_codes_ternary(&[0b10_01_00_10, 0b01_01_10_01]));
/// assert!(!are_codes_ternary(&[0b10_01_00_10, 0b01_11_10_01]));
/// ```
pub fn are_codes_ternary(bytes: &[u8]) -> bool {
    // Blocks: an early end without a branch for each byte.
    bytes.chunks(4096).all(|block| {
        let (words, rest) = block.as_chunks::<8>();
        let threes = words.iter().fold(0, |threes, &word| {
            let word = u64::from_ne_bytes(word);
            threes | (word & (word >> 1) & 0x5555_5555_5555_5555)
        });
        let rest_threes = rest.iter().fold(0, |threes, byte| threes | (byte & (byte >> 1) & 0x55));
        threes == 0 && rest_threes == 0
    })
}

/// Whether all values are −1, 0 or +1.
pub(super) fn are_ternary(values: &[i8]) -> bool {
    values.iter().fold(0, |most, &v| (v.wrapping_add(1) as u8).max(most)) <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_three_is_found_wherever_it_lies() {
        for len in [1, 7, 8, 9, 4095, 4096, 4097, 9000] {
            let mut bytes = vec![0b10_01_10_00u8; len];
            assert!(are_codes_ternary(&bytes));
            for at in [0, len / 2, len - 1] {
                for shift in [0, 2, 4, 6] {
                    let kept = bytes[at];
                    bytes[at] |= 3 << shift;
                    assert!(!are_codes_ternary(&bytes));
                    bytes[at] = kept;
                }
            }
        }
        // Adjacent bits of two codes are no code 3.
        assert!(are_codes_ternary(&[0b00_10_01_10, 0b01_10_01_10]));
    }
}
