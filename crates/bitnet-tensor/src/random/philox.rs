//! Philox4x32-10, a generator without state: block `n` of a key is a function of both, so that any
//! part of a sequence can be computed by any thread (Salmon et al. 2011, "Parallel Random Numbers: As
//! Easy as 1, 2, 3").

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// The golden ratio and √3 − 1: what the key grows by each round.
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// The four numbers of block `counter`.
pub(super) fn block(mut key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let mut x = counter;
    for _ in 0..ROUNDS {
        let product = |n: usize, x: u32| {
            let product = u64::from(MULTIPLIERS[n]) * u64::from(x);
            ((product >> 32) as u32, product as u32)
        };
        let ((high0, low0), (high1, low1)) = (product(0, x[0]), product(1, x[2]));
        x = [high1 ^ x[1] ^ key[0], low1, high0 ^ x[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::block;

    /// `kat_vectors` of the Random123 distribution.
    #[test]
    fn known_answers() {
        assert_eq!(block([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            block([u32::MAX; 2], [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            block([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
