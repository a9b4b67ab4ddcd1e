//! Equal rows found by sorting them, or by counting where numbers are close to each other.

use super::plan::Side;
use super::sort::Keys;
use super::source::bytes_of_bool;
use crate::BitNetTensor;
use crate::error::{Result, bail};

/// `outputs`: the first row of each kind, the kind of each row, how many rows a kind has, and the
/// number of kinds. What is behind that number stays zero.
pub(in crate::cpu) fn unique(x: &BitNetTensor, outputs: &mut [BitNetTensor]) -> Result<()> {
    let [first, inverse, counts, number] = outputs else {
        bail!(InternalError, "unique", &[x], "has four results");
    };
    let rows = x.shape()[0];
    let (first, inverse) = (first.try_mut::<i64>()?, inverse.try_mut::<i64>()?);
    let counts = counts.try_mut::<i64>()?;
    first.fill(0);
    counts.fill(0);

    let bytes = bytes_of_bool(x)?;
    let all = Side::new(x.layout(), &[0, 1]);
    let columns = all.count.checked_div(rows).unwrap_or(0);
    let mut keys = Vec::with_capacity(all.count);
    Keys::of(&bytes)?.read(&all, 0, &mut keys);
    if columns == 1
        && let Some(kinds) = by_counting(&keys, first, inverse, counts)
    {
        number.try_mut::<i64>()?[0] = kinds as i64;
        return Ok(());
    }
    let row = |n: usize| &keys[n * columns..][..columns];
    let mut order: Vec<usize> = (0..rows).collect();
    if columns == 1 {
        order.sort_by_key(|&n| keys[n]);
    } else {
        order.sort_by(|&a, &b| row(a).cmp(row(b)));
    }
    let mut kinds = 0;
    for (i, &n) in order.iter().enumerate() {
        if i == 0 || row(n) != row(order[i - 1]) {
            first[kinds] = n as i64;
            kinds += 1;
        }
        inverse[n] = kinds as i64 - 1;
        counts[kinds - 1] += 1;
    }
    number.try_mut::<i64>()?[0] = kinds as i64;
    Ok(())
}

/// The number of kinds, where the keys are so close to each other that there are no more possible
/// ones than elements.
fn by_counting(
    keys: &[u64],
    first: &mut [i64],
    inverse: &mut [i64],
    counts: &mut [i64],
) -> Option<usize> {
    let (low, high) = (*keys.iter().min()?, *keys.iter().max()?);
    // Keys of few bits are multiples of a power of two.
    let shift = keys.iter().fold(1 << 63, |bits, key| bits | (key - low)).trailing_zeros();
    let span = usize::try_from((high - low) >> shift).ok()?;
    if span > keys.len() {
        return None;
    }
    let place = |key: u64| ((key - low) >> shift) as usize;
    // Of each key its first place and how often it occurs.
    let mut seen = vec![(0i64, 0i64); span + 1];
    for (n, &key) in keys.iter().enumerate() {
        let seen = &mut seen[place(key)];
        if seen.1 == 0 {
            seen.0 = n as i64;
        }
        seen.1 += 1;
    }
    let mut kinds = 0;
    for seen in seen.iter_mut().filter(|seen| seen.1 > 0) {
        (first[kinds], counts[kinds]) = *seen;
        seen.0 = kinds as i64;
        kinds += 1;
    }
    for (inverse, &key) in inverse.iter_mut().zip(keys) {
        *inverse = seen[place(key)].0;
    }
    Some(kinds)
}
