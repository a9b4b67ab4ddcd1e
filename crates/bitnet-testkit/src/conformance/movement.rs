//! Casts, copies, views, joining, choosing and writing rows: elements keep their bits.

use bitnet_tensor::BitNetDType::{
    self, BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64,
};
use bitnet_tensor::ops::{PadMode, ScatterKind};
use bitnet_tensor::{BitNetTensor, Result};

use super::Case;
use crate::random::{layouts, special};
use crate::{Random, Tolerance};

const DENSE: [BitNetDType; 13] = [Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64];

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    casts(&mut cases)?;
    copies_and_views(&mut cases)?;
    cat(&mut cases)?;
    index_select(&mut cases)?;
    write_rows(&mut cases)?;
    choices(&mut cases)?;
    places(&mut cases)?;
    arrangements(&mut cases)?;
    Ok(cases)
}

fn exact(
    cases: &mut Vec<Case>,
    name: String,
    operands: Vec<BitNetTensor>,
    computation: impl Fn(&[BitNetTensor]) -> Result<Vec<BitNetTensor>> + 'static,
) {
    cases.push(Case::new(name, Tolerance::EXACT, operands, computation));
}

fn casts(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(10);
    for from in DENSE {
        for to in DENSE {
            // The reference's f64 does not hold what a negative number wraps to.
            if from.is_signed_integer() && to == U64 {
                continue;
            }
            let mut add = |what: &str, x: BitNetTensor| {
                exact(cases, format!("{from} to {to} {what}"), vec![x], move |x| {
                    Ok(vec![x[0].to_dtype(to)?])
                });
            };
            for (layout, x) in layouts(&random.tensor(from, &[5, 19])?)? {
                add(layout, x);
            }
            add("scalar", random.tensor(from, &[])?);
            add("empty", random.tensor(from, &[0, 2])?);
            if from.is_float() {
                add("special", special(from)?);
                let fractions = [
                    -300.7f32, -128.5, -1.5, -0.5, 0.5, 1.5, 2.5, 127.5, 255.5, 300.2, 65504.0,
                    70000.0, 3e9, 2e19,
                ];
                add("fractions", BitNetTensor::from_slice(&fractions, [14])?.to_dtype(from)?);
            }
        }
    }
    // More than a thread's piece of work, for the conversions that load models.
    for (from, to) in [(F32, BF16), (BF16, F32), (F32, F16), (F16, F32), (F32, I8)] {
        let x = random.tensor(from, &[32_775])?;
        exact(cases, format!("{from} to {to} long"), vec![x], move |x| {
            Ok(vec![x[0].to_dtype(to)?])
        });
    }
    Ok(())
}

fn copies_and_views(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(11);
    for dtype in DENSE {
        for (layout, x) in layouts(&random.tensor(dtype, &[3, 4, 17])?)? {
            exact(cases, format!("copy {dtype} {layout}"), vec![x], |x| {
                Ok(vec![x[0].copy()?, x[0].contiguous()?, x[0].reshape([17, 12])?])
            });
        }
    }
    for (layout, x) in layouts(&random.floats(&[4, 6, 5])?)? {
        exact(cases, format!("views {layout}"), vec![x], |x| {
            let x = &x[0];
            Ok(vec![
                x.reshape([24, 5])?.add(&x.reshape([24, 5])?)?,
                x.permute(&[2, 0, 1])?.neg()?,
                x.transpose(-1, 0)?.slice(1, 5, 3, -2)?.abs()?,
                x.narrow(1, 2, 3)?.copy()?,
                x.slice(0, 3, 4, -1)?.slice(-1, 0, 3, 2)?.copy()?,
                x.narrow(2, 0, 1)?.expand([2, 4, 6, 7])?.copy()?,
                x.unsqueeze(1)?.squeeze(1)?.neg()?,
                x.narrow(0, 4, 0)?.copy()?,
                x.narrow(0, 0, 0)?.reshape([0, 7])?.copy()?,
            ])
        });
    }
    let scalar = random.floats(&[])?;
    exact(cases, "views of a scalar".into(), vec![scalar], |x| {
        Ok(vec![
            x[0].reshape([1, 1])?.copy()?,
            x[0].expand([3, 2])?.copy()?,
            x[0].unsqueeze(-1)?.copy()?,
        ])
    });
    let long = random.floats(&[250, 260])?;
    exact(cases, "long transposed copy".into(), vec![long], |x| {
        Ok(vec![x[0].transpose(0, 1)?.copy()?])
    });
    Ok(())
}

fn cat(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(12);
    for dtype in DENSE {
        for axis in 0..3 {
            let mut operands = Vec::new();
            for size in [1, 0, 4] {
                let mut shape = [2, 3, 5];
                shape[axis] = size;
                operands.push(random.tensor(dtype, &shape)?);
            }
            exact(cases, format!("cat {dtype} axis {axis}"), operands, move |x| {
                Ok(vec![BitNetTensor::cat(&[&x[0], &x[1], &x[2], &x[0]], axis as isize - 3)?])
            });
        }
    }
    for (layout, x) in layouts(&random.floats(&[3, 7])?)? {
        exact(cases, format!("cat {layout}"), vec![x], |x| {
            Ok(vec![BitNetTensor::cat(&[&x[0], &x[0]], 0)?, BitNetTensor::cat(&[&x[0], &x[0]], 1)?])
        });
    }
    Ok(())
}

fn index_select(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(13);
    for dtype in DENSE {
        let operands = vec![random.tensor(dtype, &[9, 17])?, random.indices(9, &[2, 5])?];
        exact(cases, format!("index_select {dtype}"), operands, |x| {
            Ok(vec![x[0].index_select(0, &x[1])?])
        });
    }
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[4], &[3]),
        (&[4], &[]),
        (&[4, 0], &[3]),
        (&[4, 5], &[0]),
        (&[2, 3, 4], &[2, 2]),
        (&[8, 5_000], &[9]),
    ];
    for (table, indices) in shapes {
        let operands = vec![random.floats(table)?, random.indices(table[0], indices)?];
        let name = format!("index_select {table:?} {indices:?}");
        exact(cases, name, operands, |x| Ok(vec![x[0].index_select(0, &x[1])?]));
    }
    for (layout, table) in layouts(&random.floats(&[6, 5])?)? {
        let operands =
            vec![table, random.indices(6, &[8, 2])?.slice(0, 7, 4, -2)?.transpose(0, 1)?];
        exact(cases, format!("index_select {layout}"), operands, |x| {
            Ok(vec![x[0].index_select(0, &x[1])?])
        });
    }
    Ok(())
}

fn write_rows(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(14);
    // Distinct positions: which of two rows for the same place wins is not defined.
    let positions = BitNetTensor::from_vec(vec![4u32, 0, 2, 1, 5, 3], [2, 3])?;
    for dtype in DENSE {
        let rows = random.tensor(dtype, &[2, 3, 2, 4])?;
        for (layout, rows) in layouts(&rows)? {
            let operands = vec![random.tensor(dtype, &[2, 6, 2, 4])?, positions.clone(), rows];
            exact(cases, format!("write_rows {dtype} {layout}"), operands, |x| {
                let mut target = x[0].copy()?;
                target.write_rows(&x[1], &x[2])?;
                Ok(vec![target])
            });
        }
    }
    // The layout of a key-value cache: the tokens of each head follow each other in memory.
    let operands = vec![random.floats(&[2, 2, 6, 4])?, positions, random.floats(&[2, 3, 2, 4])?];
    exact(cases, "write_rows into a permuted target".into(), operands, |x| {
        let mut target = x[0].copy()?.permute(&[0, 2, 1, 3])?;
        target.write_rows(&x[1], &x[2])?;
        Ok(vec![target.copy()?])
    });
    for (capacity, tokens, width) in [(3, 0, 4), (3, 2, 0), (1, 1, 1)] {
        let places = BitNetTensor::arange(0..tokens as u32)?.reshape([1, tokens])?;
        let operands = vec![
            random.floats(&[1, capacity, width])?,
            places,
            random.floats(&[1, tokens, width])?,
        ];
        exact(cases, format!("write_rows {capacity} {tokens} {width}"), operands, |x| {
            let mut target = x[0].copy()?;
            target.write_rows(&x[1], &x[2])?;
            Ok(vec![target])
        });
    }
    Ok(())
}

/// Integers of [−limit, limit).
fn signed_indices(random: &mut Random, limit: usize, shape: &[usize]) -> Result<BitNetTensor> {
    random.indices(2 * limit, shape)?.to_dtype(I64)?.sub(limit)
}

fn choices(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(15);
    for dtype in DENSE {
        let x = random.tensor(dtype, &[4, 5, 6])?;
        for axis in 0..3 {
            let size = x.shape()[axis];
            let mut shape = [3, 4, 5];
            shape[axis] = 7;
            let index = signed_indices(&mut random, size, &shape)?;
            let few = signed_indices(&mut random, size, &[2, 3])?.to_dtype(I16)?;
            let axis = axis as isize;
            for (layout, x) in layouts(&x)? {
                let operands = vec![x, index.clone(), few.clone()];
                exact(
                    cases,
                    format!("choices {dtype} {layout} along {axis}"),
                    operands,
                    move |x| Ok(vec![x[0].gather(axis, &x[1])?, x[0].index_select(axis, &x[2])?]),
                );
            }
        }
        let operands = vec![x, signed_indices(&mut random, 4, &[2, 3, 2])?];
        exact(cases, format!("gather_nd {dtype}"), operands, |x| Ok(vec![x[0].gather_nd(&x[1])?]));
    }
    for (x, index) in [(&[0, 3][..], &[0, 2][..]), (&[3, 2], &[0, 2]), (&[40_000], &[40_000])] {
        let index = random.indices(x[0].max(1), index)?;
        exact(cases, format!("gather {x:?}"), vec![random.floats(x)?, index], |x| {
            Ok(vec![x[0].gather(0, &x[1])?])
        });
    }
    Ok(())
}

fn places(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(16);
    let kinds = [ScatterKind::Add, ScatterKind::Mul, ScatterKind::Max, ScatterKind::Min];
    for dtype in DENSE {
        for axis in 0..3 {
            let mut shape = [3, 4, 5];
            shape[axis] = 7;
            let operands = vec![
                random.tensor(dtype, &[4, 5, 6])?,
                signed_indices(&mut random, [4, 5, 6][axis], &shape)?,
                random.tensor(dtype, &shape)?,
            ];
            let axis = axis as isize;
            exact(cases, format!("scatter {dtype} along {axis}"), operands.clone(), move |x| {
                Ok(vec![x[0].scatter(axis, &x[1], &x[2])?])
            });
            // The reference's f64 does not hold products of 64-bit numbers.
            if dtype == Bool || matches!(dtype, I64 | U64) {
                continue;
            }
            let tolerance = match dtype {
                F16 | BF16 => Tolerance::ulps(1.0),
                _ if dtype.is_float() => Tolerance { ulps: 8.0, relative: 0.0, absolute: 1e-6 },
                _ => Tolerance::EXACT,
            };
            let kinds = match dtype.is_integer() {
                true => vec![ScatterKind::Add, ScatterKind::Max, ScatterKind::Min],
                false => kinds.to_vec(),
            };
            let name = format!("scatter_reduce {dtype} along {axis}");
            cases.push(Case::new(name, tolerance, operands, move |x| {
                let one = |&kind: &ScatterKind| x[0].scatter_reduce(axis, &x[1], &x[2], kind);
                kinds.iter().map(one).collect()
            }));
        }
        let (x, values) = (random.tensor(dtype, &[4, 5, 6])?, random.tensor(dtype, &[4, 2, 6])?);
        for (layout, values) in layouts(&values)? {
            let operands = vec![x.clone(), values];
            exact(cases, format!("with_slice {dtype} {layout}"), operands, |x| {
                let row = x[1].narrow(0, 0, 1)?;
                Ok(vec![
                    x[0].with_slice(1, 4, 2, -3, &x[1])?,
                    x[0].with_slice(1, 1, 2, 1, &row)?,
                    x[0].with_slice(0, 2, 0, 1, &x[0].narrow(0, 0, 0)?)?,
                ])
            });
        }
    }
    Ok(())
}

fn arrangements(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(17);
    for dtype in DENSE {
        for (layout, x) in layouts(&random.tensor(dtype, &[3, 4, 5])?)? {
            exact(cases, format!("arrangements {dtype} {layout}"), vec![x], |x| {
                let x = &x[0];
                let mut results = vec![
                    x.windows(1, 2, 1, 2)?,
                    x.windows(-1, 3, 2, 1)?,
                    x.diagonal(1, 0, 2)?,
                    x.diagonal(-2, 2, 1)?,
                    x.flip(&[0, -1])?,
                    x.roll(&[2, -1], &[0, 2])?,
                    x.tile(&[2, 1, 1, 2])?,
                    x.repeat_interleave(3, 1)?,
                    x.movedim(0, -1)?,
                    BitNetTensor::stack(&[x, x], 1)?,
                    x.pad(&[(1, 0), (0, 2), (2, 1)], PadMode::Reflect)?,
                    x.pad(&[(5, 0), (0, 9), (7, 7)], PadMode::Wrap)?,
                    x.pad(&[(1, 1), (0, 0), (3, 0)], PadMode::Edge)?,
                    x.tril(-1)?,
                    x.triu(2)?,
                ];
                results.extend(x.split(&[1, 0, 4], -1)?);
                results.extend(x.chunk(3, 1)?);
                // Results on the device, with elements of their own.
                results.iter().map(BitNetTensor::copy).collect()
            });
        }
    }
    Ok(())
}
