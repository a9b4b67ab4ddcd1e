//! Where numbers belong in sorted lines.

use bitnet_kernels::parallel;

use super::plan::Side;
use super::sort::Keys;
use super::source::bytes_of_bool;
use crate::BitNetTensor;
use crate::cpu::GRAIN;
use crate::error::Result;
use crate::ops::SearchSorted;

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

/// The leading axes, and the last one. A scalar is a line of one.
fn sides(x: &BitNetTensor) -> (Side, Side) {
    let leading: Vec<usize> = (0..x.rank().saturating_sub(1)).collect();
    let last: Vec<usize> = (leading.len()..x.rank()).collect();
    (Side::new(x.layout(), &leading), Side::new(x.layout(), &last))
}
