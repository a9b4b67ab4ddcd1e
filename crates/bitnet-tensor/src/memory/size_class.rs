//! Rounding of request sizes, so that a freed block fits the next similar request.
//!
//! Small blocks come in classes, four per doubling: at most 20 % of a block is beyond the request
//! (for requests of more than 256 bytes; below, blocks are multiples of 64 bytes). Large blocks are
//! multiples of a page.

use super::span::PAGE;

/// The least alignment of every block, in bytes: one cache line, one AVX-512 register.
pub(crate) const ALIGNMENT: usize = 64;

/// The largest small block.
pub(crate) const SMALL_LIMIT: usize = 32 << 10;

/// The number of classes of small blocks.
pub(crate) const CLASS_COUNT: usize = 4 + 4 * (15 - 8);

/// The class of the smallest blocks that hold `bytes`, at most [`SMALL_LIMIT`].
///
/// # Panics
/// If `bytes` is more than that.
#[inline]
pub(crate) fn class_of(bytes: usize) -> usize {
    // A table, by multiples of the alignment: every request asks.
    const CLASSES: [u8; SMALL_LIMIT / ALIGNMENT + 1] = {
        let mut classes = [0; SMALL_LIMIT / ALIGNMENT + 1];
        let (mut units, mut class) = (0, 0);
        while units < classes.len() {
            if class_size(class) < units * ALIGNMENT {
                class += 1;
            }
            classes[units] = class as u8;
            units += 1;
        }
        classes
    };
    usize::from(CLASSES[bytes.div_ceil(ALIGNMENT)])
}

/// [`class_of`] among the classes whose sizes are multiples of `alignment`, a power of two of at
/// most a page.
pub(crate) fn aligned_class_of(bytes: usize, alignment: usize) -> usize {
    let mut class = class_of(bytes.max(alignment));
    // Every fourth class is a power of two.
    while !class_size(class).is_multiple_of(alignment) {
        class += 1;
    }
    class
}

/// The size in bytes of the blocks of `class`.
#[inline]
pub(crate) const fn class_size(class: usize) -> usize {
    // A table: every request needs it, most of them twice.
    const SIZES: [usize; CLASS_COUNT] = {
        let mut sizes = [0; CLASS_COUNT];
        let mut class = 0;
        while class < CLASS_COUNT {
            sizes[class] = if class < 4 {
                (class + 1) * ALIGNMENT
            } else {
                let (octave, quarter) = ((class - 4) / 4 + 8, (class - 4) % 4);
                (1 << octave) + ((quarter + 1) << (octave - 2))
            };
            class += 1;
        }
        sizes
    };
    SIZES[class]
}

/// The size of the large block that holds `bytes`, or `None` when there is no address space for it.
pub(crate) fn large_size(bytes: usize) -> Option<usize> {
    let size = bytes.checked_next_multiple_of(PAGE)?;
    isize::try_from(size).ok().map(|_| size)
}

/// How long the slab is from which blocks of `class` are cut: so long that the part behind the last
/// block stays below a tenth, and that taking one is rare.
pub(crate) const fn slab_size(class: usize) -> usize {
    if class_size(class) <= 4 << 10 { 64 << 10 } else { 256 << 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_held_by_the_smallest_class_that_can() {
        for bytes in 0..=SMALL_LIMIT {
            let class = class_of(bytes);
            assert!(class < CLASS_COUNT);
            assert!(class_size(class) >= bytes, "{bytes}");
            assert!(class == 0 || class_size(class - 1) < bytes, "{bytes}");
            assert_eq!(class_size(class) % ALIGNMENT, 0);
            assert!(bytes <= 256 || 5 * (class_size(class) - bytes) <= class_size(class));
        }
        assert_eq!(class_size(CLASS_COUNT - 1), SMALL_LIMIT);
    }

    #[test]
    fn aligned_classes_are_multiples_of_the_alignment() {
        for alignment in (6..=12).map(|k| 1 << k) {
            for bytes in (0..=SMALL_LIMIT).step_by(37).chain([SMALL_LIMIT]) {
                let class = aligned_class_of(bytes, alignment);
                assert!(class < CLASS_COUNT && class_size(class) >= bytes);
                assert_eq!(class_size(class) % alignment, 0);
            }
        }
    }

    #[test]
    fn little_of_a_slab_is_behind_its_last_block() {
        for class in 0..CLASS_COUNT {
            let behind = slab_size(class) % class_size(class);
            assert!(10 * behind < slab_size(class), "class {class}: {behind}");
        }
    }

    #[test]
    fn large_blocks_are_pages() {
        assert_eq!(large_size(SMALL_LIMIT + 1), Some(SMALL_LIMIT + PAGE));
        assert_eq!(large_size(1 << 20), Some(1 << 20));
        let most = isize::MAX as usize + 1 - PAGE;
        assert_eq!(large_size(most - 1), Some(most));
        assert_eq!(large_size(isize::MAX as usize), None);
        assert_eq!(large_size(usize::MAX), None);
    }
}
