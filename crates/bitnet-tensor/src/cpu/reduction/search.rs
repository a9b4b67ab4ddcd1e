//! Where numbers belong in sorted lines.

use bitnet_kernels::parallel;

use super::plan::Side;
use super::sort::Keys;
use super::source::bytes_of_bool;
use crate::BitNetTensor;
use crate::cpu::GRAIN;
use crate::error::Result;
use crate::ops::SearchSorted;

/// Elements of a line for each one sought, from which on the line is not read as a whole.
const FEW: usize = 64;

pub(in crate::cpu) fn search_sorted(
    op: &SearchSorted,
    sorted: &BitNetTensor,
    values: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let out = out.try_mut::<i64>()?;
    if out.is_empty() {
        return Ok(());
    }
    let (lines, line) = sides(sorted);
    let (queries, query) = sides(values);
    let (sorted, values) = (&bytes_of_bool(sorted)?, &bytes_of_bool(values)?);
    let (sorted_keys, value_keys) = (Keys::of(sorted)?, Keys::of(values)?);
    // One line serves all rows of queries, or each has its own.
    let shared = lines.count == 1;
    // Where few are sought in a long line, not all of it is read.
    let sought = if shared { out.len() } else { query.count };
    if sought.saturating_mul(FEW) < line.count {
        let mut wanted = Vec::new();
        for (row, out) in out.chunks_exact_mut(query.count).enumerate() {
            value_keys.read(&query, queries.displacement(row), &mut wanted);
            let start = if shared { 0 } else { lines.displacement(row) };
            for (out, &value) in out.iter_mut().zip(&wanted) {
                *out = bisect(&sorted_keys, &line, start, value, op.right) as i64;
            }
        }
        return Ok(());
    }
    let mut common = Vec::new();
    if shared {
        sorted_keys.read(&line, 0, &mut common);
    }
    let rows_at_once = (GRAIN / (query.count + line.count)).max(1);
    parallel::for_each_chunk_mut(out, rows_at_once * query.count, |chunk, out| {
        let (mut own, mut wanted) = (Vec::new(), Vec::new());
        for (i, out) in out.chunks_exact_mut(query.count).enumerate() {
            let row = chunk * rows_at_once + i;
            if !shared {
                sorted_keys.read(&line, lines.displacement(row), &mut own);
            }
            let keys = if shared { &common } else { &own };
            value_keys.read(&query, queries.displacement(row), &mut wanted);
            for (out, &value) in out.iter_mut().zip(&wanted) {
                let before = |&key: &u64| if op.right { key <= value } else { key < value };
                *out = keys.partition_point(before) as i64;
            }
        }
    });
    Ok(())
}

/// How many elements of the line belong before `value`.
fn bisect(keys: &Keys<'_>, line: &Side, start: isize, value: u64, right: bool) -> usize {
    let (mut low, mut high) = (0, line.count);
    let mut key = Vec::with_capacity(1);
    while low < high {
        let middle = low + (high - low) / 2;
        keys.read_some(line, start, middle..middle + 1, &mut key);
        let before = key.iter().all(|&key| if right { key <= value } else { key < value });
        if before { low = middle + 1 } else { high = middle }
    }
    low
}

/// The leading axes, and the last one. A scalar is a line of one.
fn sides(x: &BitNetTensor) -> (Side, Side) {
    let leading: Vec<usize> = (0..x.rank().saturating_sub(1)).collect();
    let last: Vec<usize> = (leading.len()..x.rank()).collect();
    (Side::new(x.layout(), &leading), Side::new(x.layout(), &last))
}
