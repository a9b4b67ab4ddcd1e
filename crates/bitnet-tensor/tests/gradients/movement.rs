//! Views, choices and places.

use bitnet_tensor::BitNetDType::F64;
use bitnet_tensor::ops::{PadMode, ScatterKind};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;

use crate::check::{check, positive};

#[test]
fn views_and_arrangements() -> Result<()> {
    let x = [Random::new(100).tensor(F64, &[3, 4, 5])?];
    check("slice with a step", &x, &|x| x[0].slice(2, 4, 3, -2)?.square())?;
    check("windows", &x, &|x| x[0].windows(1, 2, 1, 2)?.square())?;
    check("windows apart", &x, &|x| x[0].windows(-1, 2, 3, 1)?.square())?;
    check("windows of the first axis", &x, &|x| x[0].windows(0, 3, 1, 1)?.square())?;
    check("diagonal", &x, &|x| x[0].diagonal(1, 1, 2)?.square())?;
    check("diagonal below", &x, &|x| x[0].diagonal(-1, 0, 2)?.square())?;
    check("diagonal of exchanged axes", &x, &|x| x[0].diagonal(0, 2, 0)?.square())?;
    check("flip", &x, &|x| x[0].flip(&[0, 2])?.square())?;
    check("roll", &x, &|x| x[0].roll(&[1, -2], &[0, 2])?.square())?;
    check("movedim", &x, &|x| x[0].movedim(0, 2)?.square())?;
    check("tile", &x, &|x| x[0].tile(&[2, 1, 2])?.square())?;
    check("repeat_interleave", &x, &|x| x[0].repeat_interleave(2, 1)?.square())?;
    check("tril", &x, &|x| x[0].tril(1)?.square())?;
    for mode in [PadMode::Constant(2.0), PadMode::Reflect, PadMode::Edge, PadMode::Wrap] {
        check("pad", &x, &move |x| x[0].pad(&[(0, 1), (2, 0), (1, 3)], mode)?.square())?;
    }
    Ok(())
}

#[test]
fn choices_and_places() -> Result<()> {
    let mut random = Random::new(101);
    let x = random.tensor(F64, &[3, 4])?;
    let rows = BitNetTensor::from_vec(vec![0i64, -1, 0, 2], [2, 2])?;
    let index = BitNetTensor::from_vec(vec![0i64, -1, 1, 3, 0, 0], [3, 2])?;
    let source = random.tensor(F64, &[3, 2])?;
    let one = std::slice::from_ref(&x);
    check("index_select", one, &|x| x[0].index_select(0, &rows)?.square())?;
    check("index_select of columns", one, &|x| x[0].index_select(1, &rows)?.square())?;
    check("gather", one, &|x| x[0].gather(1, &index)?.square())?;
    check("gather_nd", one, &|x| x[0].gather_nd(&rows.abs()?)?.square())?;
    check("masked_select", one, &|x| x[0].masked_select(&x[0].detach().gt(0.0)?)?.square())?;
    let both = [x.clone(), source.clone()];
    let distinct = BitNetTensor::from_vec(vec![0i64, -1, 1, 3, 0, 2], [3, 2])?;
    check("scatter", &both, &|x| x[0].scatter(1, &distinct, &x[1])?.square())?;
    check("scatter_add", &both, &|x| x[0].scatter_add(1, &index, &x[1])?.square())?;
    let region = [x.clone(), random.tensor(F64, &[3, 2])?];
    check("with_slice", &region, &|x| x[0].with_slice(1, 3, 2, -2, &x[1])?.square())?;
    // Factors away from zero; extremes that are clear.
    let factors = [positive(&mut random, F64, &[3, 4])?, positive(&mut random, F64, &[3, 2])?];
    for kind in [ScatterKind::Mul, ScatterKind::Max, ScatterKind::Min] {
        check("scatter_reduce", &factors, &|x| x[0].scatter_reduce(1, &index, &x[1], kind))?;
    }
    Ok(())
}
