//! Reductions, positions of extremes, running sums.

use bitnet_tensor::ops::PadMode;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::from_front;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("ArgMax", |n| one(arg(n, |x, axis| x.argmax(axis, true)))),
    ("ArgMin", |n| one(arg(n, |x, axis| x.argmin(axis, true)))),
    ("CumProd", |n| one(running(n, 1.0, |x, axis| x.cumprod(axis)))),
    ("CumSum", |n| one(running(n, 0.0, |x, axis| x.cumsum(axis)))),
    ("ReduceL1", |n| one(reduce(n, |x, axes, keep| x.abs()?.sum(axes, keep)))),
    ("ReduceL2", |n| one(reduce(n, |x, axes, keep| x.norm(2.0, axes, keep)))),
    ("ReduceLogSum", |n| one(reduce(n, |x, axes, keep| x.sum(axes, keep)?.log()))),
    ("ReduceLogSumExp", |n| one(reduce(n, |x, axes, keep| x.logsumexp(axes, keep)))),
    ("ReduceMax", |n| {
        one(extreme(n, f64::NEG_INFINITY, |x, axes, keep| match x.dtype() {
            BitNetDType::Bool => x.any(axes, keep),
            _ => x.max(axes, keep),
        }))
    }),
    ("ReduceMean", |n| one(reduce(n, |x, axes, keep| x.mean(axes, keep)))),
    ("ReduceMin", |n| {
        one(extreme(n, f64::INFINITY, |x, axes, keep| match x.dtype() {
            BitNetDType::Bool => x.all(axes, keep),
            _ => x.min(axes, keep),
        }))
    }),
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

/// The extreme of nothing is the type's own, which the library refuses: one is put there first.
fn extreme(case: &Case, of_nothing: f64, reduction: Reduction) -> Result<BitNetTensor> {
    let (x, axes) = (case.x(0), axes(case)?);
    let empty = axes.iter().find(|&&axis| x.shape()[from_front(axis, x.rank())] == 0);
    let (Some(&axis), true) = (empty, x.dtype().is_float()) else {
        return reduce(case, reduction);
    };
    let mut pads = vec![(0, 0); x.rank()];
    pads[from_front(axis, x.rank())] = (0, 1);
    let filled = x.pad(&pads, PadMode::Constant(of_nothing))?;
    reduction(&filled, &axes, case.flag("keepdims", true))
}

/// The last of several is the first of the reversed.
fn arg(
    case: &Case,
    position: fn(&BitNetTensor, isize) -> Result<BitNetTensor>,
) -> Result<BitNetTensor> {
    let (x, axis) = (case.x(0), case.integer("axis", 0));
    let mut result = if case.flag("select_last_index", false) {
        let last = x.shape()[from_front(axis, x.rank())] - 1;
        position(&x.flip(&[axis])?, axis)?.neg()?.add(last)?
    } else {
        position(x, axis)?
    };
    if !case.flag("keepdims", true) {
        result = result.squeeze(axis)?;
    }
    Ok(result)
}

/// From the end when `reverse`; each without itself when `exclusive`.
fn running(
    case: &Case,
    of_nothing: f64,
    accumulate: fn(&BitNetTensor, isize) -> Result<BitNetTensor>,
) -> Result<BitNetTensor> {
    let x = case.x(0);
    let axis = case.numbers(1)?.map_or(0, |axis| axis[0]);
    let reverse = case.flag("reverse", false);
    let mut values = if reverse { x.flip(&[axis])? } else { x.clone() };
    if case.flag("exclusive", false) {
        let at = from_front(axis, x.rank());
        let mut pads = vec![(0, 0); x.rank()];
        pads[at] = (1, 0);
        let shifted = values.narrow(axis, 0, x.shape()[at] - 1)?;
        values = shifted.pad(&pads, PadMode::Constant(of_nothing))?;
    }
    // The library's sums of narrow integers are of I64.
    let sums = accumulate(&values, axis)?.to_dtype(x.dtype())?;
    if reverse { sums.flip(&[axis]) } else { Ok(sums) }
}
