//! Index expressions, read and written.

use bitnet_tensor::ops::{Ellipsis, Index, NewAxis, Slice};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;
use bitnet_testkit::compare::compare;

use crate::case::Case;
use crate::family;

/// The entries of an expression as Python writes them; a `t` is the next of `tensors`.
fn expression(case: &Case<'_>, mut tensors: &[BitNetTensor]) -> Vec<Index> {
    let mut next = || {
        let (first, rest) = tensors.split_first().expect("an operand for each `t`");
        tensors = rest;
        Index::from(first)
    };
    let entry = |text: &str| match text {
        "None" => NewAxis.into(),
        "..." => Ellipsis.into(),
        "t" => next(),
        text if text.contains(':') => slice(text).into(),
        number => number.parse::<isize>().expect("a number").into(),
    };
    case.texts("index").into_iter().map(entry).collect()
}

fn slice(text: &str) -> Slice {
    let number = |text: &str| (!text.is_empty()).then(|| text.parse::<isize>().expect("a number"));
    let parts: Vec<Option<isize>> = text.split(':').map(number).collect();
    let slice = match (parts[0], parts[1]) {
        (None, None) => Slice::from(..),
        (Some(start), None) => Slice::from(start..),
        (None, Some(end)) => Slice::from(..end),
        (Some(start), Some(end)) => Slice::from(start..end),
    };
    slice.every(parts[2].unwrap_or(1))
}

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "index" => x[0].index(expression(case, &x[1..]))?,
        "set_index" => {
            let (values, tensors) = x[1..].split_last().expect("values");
            let shared = x[0].with_index(expression(case, tensors), values)?;
            // Over storage that nobody else holds, the same.
            let mut alone = x[0].copy()?;
            alone.set_index(expression(case, tensors), values)?;
            compare(&alone, &shared, Tolerance::EXACT).expect("the same as into a copy");
            shared
        }
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one])
}

fn tolerance(_: &Case<'_>, _: BitNetDType) -> Tolerance {
    Tolerance::EXACT
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/indexing.json"), evaluate, tolerance);
}
