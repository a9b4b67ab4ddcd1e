//! Reductions, positions of extremes, running sums.

use bitnet_tensor::{BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("ReduceL1", |n| one(reduce(n, |x, axes, keep| x.abs()?.sum(axes, keep)))),
    ("ReduceL2", |n| one(reduce(n, |x, axes, keep| x.norm(2.0, axes, keep)))),
    ("ReduceLogSum", |n| one(reduce(n, |x, axes, keep| x.sum(axes, keep)?.log()))),
    ("ReduceLogSumExp", |n| one(reduce(n, |x, axes, keep| x.logsumexp(axes, keep)))),
    ("ReduceMean", |n| one(reduce(n, |x, axes, keep| x.mean(axes, keep)))),
    ("ReduceProd", |n| one(reduce(n, |x, axes, keep| x.prod(axes, keep)))),
    ("ReduceSum", |n| one(reduce(n, |x, axes, keep| x.sum(axes, keep)))),
    ("ReduceSumSquare", |n| one(reduce(n, |x, axes, keep| x.square()?.sum(axes, keep)))),
];

/// A reduction over axes.
type Reduction = fn(&BitNetTensor, &[isize], bool) -> Result<BitNetTensor>;

fn axes(case: &Case) -> Result<Vec<isize>> {
    let operand = case.numbers(1)?;
    Ok(operand.or_else(|| case.integers("axes")).unwrap_or_default())
}

fn reduce(case: &Case, reduction: Reduction) -> Result<BitNetTensor> {
    let (x, axes) = (case.x(0), axes(case)?);
    if axes.is_empty() && case.flag("noop_with_empty_axes", false) {
        // Over no axes: over one of size one.
        return reduction(&x.unsqueeze(0)?, &[0], false);
    }
    reduction(x, &axes, case.flag("keepdims", true))
}
