//! Choosing elements and writing them.

use crate::reader::Case;
use crate::{Adapters, Outcome};

pub(crate) const ADAPTERS: Adapters = &[("TopK", topk)];

fn topk(case: &Case) -> Outcome {
    let k = case.numbers(1)?.map_or(0, |k| k[0]) as usize;
    let (values, indices) =
        case.x(0).topk(k, case.integer("axis", -1), case.flag("largest", true))?;
    Ok(vec![values, indices])
}
