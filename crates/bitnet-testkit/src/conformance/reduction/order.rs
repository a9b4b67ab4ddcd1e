//! Running reductions, sorting, searching and sets.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64, U64};
use bitnet_tensor::ops::Interpolation;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use super::reduce::ALL;
use crate::conformance::Case;
use crate::random::{layouts, special};
use crate::{Random, Tolerance};

pub(super) fn cases(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(25);
    for dtype in ALL {
        for (layout, x) in layouts(&random.tensor(dtype, &[3, 5, 7])?)? {
            for axis in [0, 2] {
                running(cases, layout, &x, axis);
                order(cases, layout, &x, axis);
            }
        }
        for (layout, x) in layouts(&few(&mut random, dtype, &[4, 6])?)? {
            running(cases, layout, &x, -1);
            order(cases, layout, &x, 0);
            order(cases, layout, &x, 1);
            unique(cases, layout, &x, None);
            unique(cases, layout, &x, Some(0));
            unique(cases, layout, &x.narrow(0, 0, 2)?, Some(1));
        }
        running(cases, "long", &few(&mut random, dtype, &[700])?, 0);
        running(cases, "wide", &few(&mut random, dtype, &[3, 600])?, 0);
        order(cases, "long", &random.tensor(dtype, &[2, 700])?, 1);
        order(cases, "ties", &few(&mut random, dtype, &[700])?, 0);
        unique(cases, "long", &random.tensor(dtype, &[900])?, None);
        running(cases, "one", &random.tensor(dtype, &[1])?, 0);
        order(cases, "one", &random.tensor(dtype, &[1])?, 0);
        unique(cases, "scalar", &random.tensor(dtype, &[])?, None);
        for shape in [&[0][..], &[0, 3], &[3, 0]] {
            running(cases, "nothing", &random.tensor(dtype, shape)?, 0);
            order(cases, "nothing", &random.tensor(dtype, shape)?, -1);
            unique(cases, "nothing", &random.tensor(dtype, shape)?, None);
            unique(cases, "nothing", &random.tensor(dtype, shape)?, Some(0));
        }
        search(cases, &mut random, dtype)?;
    }
    for dtype in [F16, BF16, F32, F64] {
        let x = special(dtype)?;
        running(cases, "special", &x, 0);
        order(cases, "special", &x, 0);
        unique(cases, "special", &x, None);
        order(cases, "special", &x.reshape([6, 4])?, 0);
        running(cases, "special", &x.reshape([6, 4])?, 0);
        quantiles(cases, &mut random, dtype)?;
    }
    Ok(())
}

/// Numbers among which many are equal, small enough for products.
fn few(random: &mut Random, dtype: BitNetDType, shape: &[usize]) -> Result<BitNetTensor> {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| random.below(3) as f32).collect();
    BitNetTensor::from_vec(values, shape)?.to_dtype(dtype)
}

fn running(cases: &mut Vec<Case>, what: &str, x: &BitNetTensor, axis: isize) {
    let dtype = x.dtype();
    let name = format!("running {dtype}{} {what} axis {axis}", x.shape());
    let size = x.shape()[if axis < 0 { x.rank() - 1 } else { axis as usize }];
    let tolerance = match dtype {
        F32 | F64 => Tolerance { relative: 1e-6, ..Tolerance::sum(size, dtype) },
        _ => Tolerance::ulps(1.0),
    };
    // The reference's f64 holds neither long products of large integers nor differences that
    // wrap around below zero.
    let products = dtype.is_float() || size < 3 || what == "long" && !dtype.is_integer();
    let computation = move |x: &[BitNetTensor]| {
        let (largest, last) = x[0].cummax(axis)?;
        let (smallest, lowest) = x[0].cummin(axis)?;
        let mut results = vec![x[0].cumsum(axis)?, largest, last, smallest, lowest];
        if products {
            results.push(x[0].cumprod(axis)?);
        }
        if x[0].dtype() != U64 {
            results.extend([x[0].diff(1, axis)?, x[0].diff(2, axis)?]);
        }
        Ok(results)
    };
    let exact = Tolerance::EXACT;
    let tolerances = [tolerance, exact, exact, exact, exact, tolerance];
    let case = Case::new(name, tolerance, vec![x.clone()], computation);
    cases.push(case.with_tolerances(&tolerances));
}

fn order(cases: &mut Vec<Case>, what: &str, x: &BitNetTensor, axis: isize) {
    let name = format!("order {}{} {what} axis {axis}", x.dtype(), x.shape());
    let size = x.shape()[if axis < 0 { x.rank() - 1 } else { axis as usize }];
    cases.push(Case::new(name, Tolerance::EXACT, vec![x.clone()], move |x| {
        let mut results = Vec::new();
        for descending in [false, true] {
            let (values, places) = x[0].sort(axis, descending)?;
            results.extend([values, places]);
            for k in [0, size / 2, size] {
                let (values, places) = x[0].topk(k, axis, descending)?;
                results.extend([values, places]);
            }
        }
        if size > 1 {
            let (value, place) = x[0].kthvalue(2, axis, true)?;
            results.extend([value, place, x[0].argsort(axis, false)?]);
        }
        Ok(results)
    }));
}

fn unique(cases: &mut Vec<Case>, what: &str, x: &BitNetTensor, axis: Option<isize>) {
    let name = format!("unique {}{} {what} axis {axis:?}", x.dtype(), x.shape());
    cases.push(Case::new(name, Tolerance::EXACT, vec![x.clone()], move |x| {
        let unique = x[0].unique(axis)?;
        Ok(vec![unique.values, unique.indices, unique.inverse, unique.counts])
    }));
}

fn search(cases: &mut Vec<Case>, random: &mut Random, dtype: BitNetDType) -> Result<()> {
    let line = few(random, dtype, &[20])?.sort(0, false)?.0;
    let lines = random.tensor(dtype, &[2, 3, 9])?.sort(-1, false)?.0;
    let mut add = |what: &str, sorted: BitNetTensor, values: BitNetTensor| {
        let name = format!("searchsorted {dtype} {what}");
        cases.push(Case::new(name, Tolerance::EXACT, vec![sorted, values], |x| {
            Ok(vec![x[0].searchsorted(&x[1], false)?, x[0].searchsorted(&x[1], true)?])
        }));
    };
    add("line", line.clone(), few(random, dtype, &[4, 5])?);
    add("scalar", line.clone(), few(random, dtype, &[])?);
    let long = few(random, dtype, &[2, 500])?.sort(-1, false)?.0;
    add("few in long lines", long, few(random, dtype, &[2, 3])?);
    add("nothing", line.narrow(0, 0, 0)?, few(random, dtype, &[3])?);
    add("for nothing", line, random.tensor(dtype, &[0, 3])?);
    for (layout, values) in layouts(&random.tensor(dtype, &[2, 3, 4])?)? {
        add(layout, lines.clone(), values);
    }
    let columns = lines.transpose(0, 2)?.copy()?.transpose(0, 2)?;
    add("in columns", columns, random.tensor(dtype, &[2, 3, 40])?);
    Ok(())
}

fn quantiles(cases: &mut Vec<Case>, random: &mut Random, dtype: BitNetDType) -> Result<()> {
    for axes in [&[0][..], &[-1], &[2, 0], &[]] {
        for shape in [[4, 5, 7], [3, 1, 8]] {
            let mut x = random.tensor(dtype, &shape)?;
            if axes.len() == 1 {
                // One of the results is NaN.
                x = BitNetTensor::cat(&[&x, &special(dtype)?.narrow(0, 4, 1)?.expand(shape)?], 1)?;
            }
            let axes = axes.to_vec();
            let tolerance = Tolerance { ulps: 2.0, ..Tolerance::absolute(1e-7) };
            let name = format!("quantiles {dtype}{shape:?} axes {axes:?}");
            cases.push(Case::new(name, tolerance, vec![x], move |x| {
                let mut results = vec![x[0].median(&axes, true)?];
                for q in [0.0, 0.1, 0.5, 0.77, 1.0] {
                    use Interpolation::{Higher, Linear, Lower, Midpoint, Nearest};
                    for kind in [Linear, Lower, Higher, Nearest, Midpoint] {
                        results.push(x[0].quantile_with(q, &axes, false, kind)?);
                    }
                }
                Ok(results)
            }));
        }
    }
    Ok(())
}
