//! Views, choices and places.

use bitnet_tensor::BitNetDType::F64;
use bitnet_tensor::ops::{NewAxis, PadMode, ScatterKind};
use bitnet_tensor::{BitNetTensor, Result, s};
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
    check("take_along_axis", one, &|x| {
        let columns = BitNetTensor::from_vec(vec![-1i64, 0, 0], [1, 3])?;
        x[0].take_along_axis(1, &columns)?.square()
    })?;
    let both = [x.clone(), source.clone()];
    let distinct = BitNetTensor::from_vec(vec![0i64, -1, 1, 3, 0, 2], [3, 2])?;
    check("scatter", &both, &|x| x[0].scatter(1, &distinct, &x[1])?.square())?;
    check("scatter_add", &both, &|x| x[0].scatter_add(1, &index, &x[1])?.square())?;
    let region = [x.clone(), random.tensor(F64, &[3, 2])?];
    check("with_slice", &region, &|x| x[0].with_slice(1, 3, 2, -2, &x[1])?.square())?;
    let rows_of = BitNetTensor::from_vec(vec![2i64, 0], [2, 1])?;
    let of_places = [x.clone(), random.tensor(F64, &[2, 4])?];
    check("scatter_nd", &of_places, &|x| {
        x[0].scatter_nd(&rows_of, &x[1], ScatterKind::Assign)?.square()
    })?;
    // Factors away from zero; extremes that are clear.
    let factors = [positive(&mut random, F64, &[3, 4])?, positive(&mut random, F64, &[3, 2])?];
    for kind in [ScatterKind::Mul, ScatterKind::Max, ScatterKind::Min] {
        check("scatter_reduce", &factors, &|x| x[0].scatter_reduce(1, &index, &x[1], kind))?;
    }
    Ok(())
}

#[test]
fn more_views_and_arrangements() -> Result<()> {
    let x = [Random::new(102).tensor(F64, &[2, 3, 4])?];
    check("reshape", &x, &|x| x[0].reshape([4, 6])?.square())?;
    check("reshape with a copy", &x, &|x| x[0].transpose(0, 2)?.reshape([24])?.square())?;
    check("flatten", &x, &|x| x[0].flatten(0, 1)?.square())?;
    check("permute", &x, &|x| x[0].permute(&[2, 0, 1])?.square())?;
    check("unsqueeze and expand", &x, &|x| x[0].unsqueeze(1)?.expand([2, 5, 3, 4])?.square())?;
    check("narrow and squeeze", &x, &|x| x[0].narrow(1, 1, 1)?.squeeze(1)?.square())?;
    check("unfold", &x, &|x| x[0].unfold(2, 2, 1)?.square())?;
    check("copy", &x, &|x| x[0].copy()?.square())?;
    check("triu", &x, &|x| x[0].triu(-1)?.square())?;
    check("stack", &x, &|x| BitNetTensor::stack(&[&x[0], &x[0].square()?], -1)?.square())?;
    check("cat", &x, &|x| BitNetTensor::cat(&[&x[0].square()?, &x[0]], 1)?.square())?;
    check("split", &x, &|x| x[0].split(&[1, 3], 2)?[1].square())?;
    check("chunk", &x, &|x| x[0].chunk(2, 1)?[0].square())?;
    let line = [x[0].narrow(0, 0, 1)?.reshape([12])?.copy()?];
    check("meshgrid", &line, &|x| {
        let grid = BitNetTensor::meshgrid(&[&x[0], &x[0]])?;
        grid[0].mul(&grid[1])
    })
}

#[test]
fn other_words_for_the_same() -> Result<()> {
    let x = [Random::new(104).tensor(F64, &[2, 3, 1])?];
    check("movedims", &x, &|x| x[0].movedims(&[0, 2], &[1, 0])?.square())?;
    check("squeeze_all", &x, &|x| x[0].squeeze_all()?.square())?;
    check("view_as", &x, &|x| x[0].view_as(&[3, -1])?.square())
}

#[test]
fn index_expressions() -> Result<()> {
    let mut random = Random::new(103);
    let x = random.tensor(F64, &[3, 4, 2])?;
    let one = std::slice::from_ref(&x);
    let rows = BitNetTensor::from_vec(vec![0i64, -1, 0], [3, 1])?;
    let columns = BitNetTensor::try_from(vec![3i64, 1])?;
    let mask = x.detach().gt(0.0)?;
    check("a view", one, &|x| x[0].index(s![..;-2, 1, NewAxis])?.square())?;
    check("places of an axis", one, &|x| x[0].index(s![.., &columns])?.square())?;
    check("places of two axes", one, &|x| x[0].index(s![&rows, &columns, 0])?.square())?;
    check("places apart", one, &|x| x[0].index(s![&rows, 1..3, 0])?.square())?;
    check("where a mask is true", one, &|x| x[0].index(s![&mask])?.square())?;
    let two = |shape: &[usize], random: &mut Random| -> Result<[BitNetTensor; 2]> {
        Ok([x.clone(), random.tensor(F64, shape)?])
    };
    let inputs = two(&[3, 2], &mut random)?;
    check("writing a slice", &inputs, &|x| x[0].with_index(s![.., 1], &x[1])?.square())?;
    let inputs = two(&[2], &mut random)?;
    check("broadcast into a slice", &inputs, &|x| x[0].with_index(s![1..], &x[1])?.square())?;
    let inputs = two(&[2, 2], &mut random)?;
    check("writing places", &inputs, &|x| x[0].with_index(s![1, &columns], &x[1])?.square())?;
    let inputs = two(&[], &mut random)?;
    check("writing by mask", &inputs, &|x| x[0].with_index(s![&mask], &x[1])?.square())?;
    // In place, a variable that is recorded is replaced, not overwritten.
    check("setting", &inputs, &|x| {
        let mut y = x[0].square()?;
        y.set_index(s![0, &columns], &x[1])?;
        y.square()
    })
}
