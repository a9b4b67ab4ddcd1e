//! Rounding of request sizes, so that a freed block fits the next similar request.
//!
//! Four classes per doubling: at most 25 % of a block is beyond the request (for requests of
//! 256 bytes and more; below, blocks are multiples of 64 bytes).

/// The alignment of every block, in bytes: one cache line, one AVX-512 register.
pub(super) const ALIGNMENT: usize = 64;

/// The number of classes; the last holds blocks of at least 2⁴⁸ bytes.
pub(super) const CLASS_COUNT: usize = 4 * (48 - 8) + 5;

/// The class of the smallest blocks that hold `bytes`, or `None` when it is larger than the
/// largest class.
pub(super) fn class_of(bytes: usize) -> Option<usize> {
    if bytes <= 4 * ALIGNMENT {
        return Some(bytes.div_ceil(ALIGNMENT).max(1) - 1);
    }
    // bytes is in (2^k, 2^(k+1)] for k >= 8; quarters of that octave are the classes.
    let octave = (bytes - 1).ilog2();
    let quarter = (bytes - 1 - (1 << octave)) >> (octave - 2);
    let class = 4 * (octave as usize - 8) + quarter + 4;
    (class < CLASS_COUNT).then_some(class)
}

/// The size in bytes of the blocks of `class`.
pub(super) fn class_size(class: usize) -> usize {
    if class < 4 {
        return (class + 1) * ALIGNMENT;
    }
    let (octave, quarter) = ((class - 4) / 4 + 8, (class - 4) % 4);
    (1 << octave) + ((quarter + 1) << (octave - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_held_by_the_smallest_class_that_can() {
        let around = |n: usize| [n - 1, n, n + 1];
        let sizes = (0..2000).chain((11..40).flat_map(|k| around(1 << k)));
        for bytes in sizes.chain((11..40).flat_map(|k| around((1 << k) + (1 << (k - 2))))) {
            let class = class_of(bytes).expect("in range");
            assert!(class_size(class) >= bytes, "{bytes}");
            assert!(class == 0 || class_size(class - 1) < bytes, "{bytes}");
            assert_eq!(class_size(class) % ALIGNMENT, 0);
        }
    }

    #[test]
    fn sizes_beyond_the_last_class_have_none() {
        assert_eq!(class_of(usize::MAX), None);
        assert!(class_of(1 << 48).is_some());
    }
}
