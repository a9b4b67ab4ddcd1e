//! Elementwise functions, reductions, movement, indexing, searching, sorting, random numbers.

use bitnet_tensor::ops::PadMode;
use bitnet_tensor::random::Generator;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result, s};

use crate::workload::{Run, Workload, numbers, run};

/// 16 KB of `F32`: the first-level cache.
const SMALL: [usize; 1] = [1 << 12];
/// 4 MB of `F32`.
const MEDIUM: [usize; 1] = [1 << 20];
/// As many, as a matrix.
const MATRIX: [usize; 2] = [1024, 1024];
/// 64 MB of `F32`: beyond the caches.
const LARGE: [usize; 1] = [1 << 24];
/// As many, as a matrix.
const LARGE_MATRIX: [usize; 2] = [4096, 4096];

fn unary(x: Result<BitNetTensor>, call: fn(&BitNetTensor) -> Result<BitNetTensor>) -> Result<Run> {
    let x = x?;
    run(move || call(&x))
}

fn binary(
    a: Result<BitNetTensor>,
    b: Result<BitNetTensor>,
    call: fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>,
) -> Result<Run> {
    let (a, b) = (a?, b?);
    run(move || call(&a, &b))
}

/// Shorter rows of the table.
const fn of(family: &'static str, name: &'static str, make: fn() -> Result<Run>) -> Workload {
    Workload { family, name, make }
}

pub(crate) const WORKLOADS: &[Workload] = &[
    of("elementwise", "add 4K", || binary(numbers(SMALL), numbers(SMALL), |a, b| a.add(b))),
    of("elementwise", "add 1M", || binary(numbers(MEDIUM), numbers(MEDIUM), |a, b| a.add(b))),
    of("elementwise", "add in place 1M", || {
        let (mut a, b) = (numbers(MEDIUM)?, numbers(MEDIUM)?);
        run(move || {
            a += &b;
            BitNetTensor::scalar(0f32)
        })
    }),
    of("elementwise", "add row 1024x1024", || {
        binary(numbers(MATRIX), numbers([1024]), |a, b| a.add(b))
    }),
    of("elementwise", "add column 1024x1024", || {
        binary(numbers(MATRIX), numbers([1024, 1]), |a, b| a.add(b))
    }),
    of("elementwise", "add transposed 1024x1024", || {
        binary(numbers(MATRIX), numbers(MATRIX)?.transpose(0, 1), |a, b| a.add(b))
    }),
    of("elementwise", "add 16M", || binary(numbers(LARGE), numbers(LARGE), |a, b| a.add(b))),
    of("elementwise", "multiply 16M", || binary(numbers(LARGE), numbers(LARGE), |a, b| a.mul(b))),
    of("elementwise", "add row 4096x4096", || {
        binary(numbers(LARGE_MATRIX), numbers([4096]), |a, b| a.add(b))
    }),
    of("elementwise", "add column 4096x4096", || {
        binary(numbers(LARGE_MATRIX), numbers([4096, 1]), |a, b| a.add(b))
    }),
    of("elementwise", "add transposed 4096x4096", || {
        binary(numbers(LARGE_MATRIX), numbers(LARGE_MATRIX)?.transpose(0, 1), |a, b| a.add(b))
    }),
    of("elementwise", "multiply by number 1M", || unary(numbers(MEDIUM), |x| x.mul(1.5))),
    of("elementwise", "greater 1M", || binary(numbers(MEDIUM), numbers(MEDIUM), |a, b| a.gt(b))),
    of("elementwise", "where 1M", || {
        let (a, b) = (numbers(MEDIUM)?, numbers(MEDIUM)?);
        let condition = a.gt(0.0)?;
        run(move || condition.where_(&a, &b))
    }),
    of("transcendental", "exp 4K", || unary(numbers(SMALL), |x| x.exp())),
    of("transcendental", "exp 1M", || unary(numbers(MEDIUM), |x| x.exp())),
    of("transcendental", "log 1M", || unary(numbers(MEDIUM)?.abs(), |x| x.log())),
    of("transcendental", "sin 1M", || unary(numbers(MEDIUM), |x| x.sin())),
    of("transcendental", "tanh 1M", || unary(numbers(MEDIUM), |x| x.tanh())),
    of("transcendental", "erf 1M", || unary(numbers(MEDIUM), |x| x.erf())),
    of("transcendental", "gelu 1M", || unary(numbers(MEDIUM), |x| x.gelu())),
    of("transcendental", "power 1M", || {
        binary(numbers(MEDIUM)?.abs(), numbers(MEDIUM), |a, b| a.pow(b))
    }),
    of("reduction", "sum axis 0 1024x1024", || unary(numbers(MATRIX), |x| x.sum(&[0], false))),
    of("reduction", "sum axis 1 1024x1024", || unary(numbers(MATRIX), |x| x.sum(&[1], false))),
    of("reduction", "sum all 4K", || unary(numbers(SMALL), |x| x.sum(&[], false))),
    of("reduction", "sum all 1M", || unary(numbers(MEDIUM), |x| x.sum(&[], false))),
    of("reduction", "mean axis 1 1024x1024", || unary(numbers(MATRIX), |x| x.mean(&[1], false))),
    of("reduction", "mean all 1M", || unary(numbers(MEDIUM), |x| x.mean(&[], false))),
    of("reduction", "variance all 1M", || unary(numbers(MEDIUM), |x| x.var(&[], 0, false))),
    of("reduction", "max axis 1 1024x1024", || unary(numbers(MATRIX), |x| x.max(&[1], false))),
    of("reduction", "variance axis 1 1024x1024", || {
        unary(numbers(MATRIX), |x| x.var(&[1], 0, false))
    }),
    of("reduction", "argmax axis 1 1024x1024", || unary(numbers(MATRIX), |x| x.argmax(1, false))),
    of("reduction", "median axis 1 1024x1024", || {
        unary(numbers(MATRIX), |x| x.median(&[1], false))
    }),
    of("movement", "copy 1M", || unary(numbers(MEDIUM), |x| x.copy())),
    of("movement", "copy transposed 1024x1024", || {
        unary(numbers(MATRIX)?.transpose(0, 1), |x| x.copy())
    }),
    of("movement", "copy transposed 4096x4096", || {
        unary(numbers(LARGE_MATRIX)?.transpose(0, 1), |x| x.copy())
    }),
    of("movement", "cat axis 0 2x512x1024", || {
        binary(numbers([512, 1024]), numbers([512, 1024]), |a, b| BitNetTensor::cat(&[a, b], 0))
    }),
    of("movement", "cat axis 1 2x1024x512", || {
        binary(numbers([1024, 512]), numbers([1024, 512]), |a, b| BitNetTensor::cat(&[a, b], 1))
    }),
    of("movement", "select rows 4096 of 32768x256", || {
        binary(numbers([32_768, 256]), indices(4096, 32_768), |x, i| x.index_select(0, i))
    }),
    of("movement", "gather axis 1 1024x1024", || {
        let indices = indices(1 << 20, 1024)?.reshape(MATRIX);
        binary(numbers(MATRIX), indices, |x, i| x.gather(1, i))
    }),
    of("movement", "pad 1024x1024", || {
        unary(numbers(MATRIX), |x| x.pad(&[(1, 1), (1, 1)], PadMode::Constant(0.0)))
    }),
    of("indexing", "where a mask is true 1M", || {
        let x = numbers(MEDIUM)?;
        let mask = x.gt(0.0)?;
        run(move || x.index(s![&mask]))
    }),
    of("indexing", "every second, backwards 1024x1024", || {
        unary(numbers(MATRIX), |x| x.index(s![..;-2, ..;2])?.copy())
    }),
    of("indexing", "add 4096 rows to 32768x256", || {
        let (x, rows) = (numbers([32_768, 256])?, numbers([4096, 256])?);
        let places = indices(4096, 32_768)?.unsqueeze(1)?.expand([4096, 256])?;
        run(move || x.scatter_add(0, &places, &rows))
    }),
    of("search", "1M in 4096 sorted", || {
        let (sorted, x) = (numbers(SMALL)?.sort(0, false)?.0, numbers(MEDIUM)?);
        run(move || sorted.searchsorted(&x, false))
    }),
    of("search", "unique of 1M of 1000", || {
        unary(indices(1 << 20, 1000), |x| Ok(x.unique(None)?.values))
    }),
    of("sorting", "sort 1M", || unary(numbers(MEDIUM), |x| Ok(x.sort(0, false)?.0))),
    of("sorting", "sort axis 1 1024x1024", || unary(numbers(MATRIX), |x| Ok(x.sort(1, false)?.0))),
    of("sorting", "argsort 1M", || unary(numbers(MEDIUM), |x| x.argsort(0, false))),
    of("sorting", "top 10 of 1024x1024", || unary(numbers(MATRIX), |x| Ok(x.topk(10, 1, true)?.0))),
    of("scan", "cumsum 1M", || unary(numbers(MEDIUM), |x| x.cumsum(0))),
    of("scan", "cumsum axis 0 1024x1024", || unary(numbers(MATRIX), |x| x.cumsum(0))),
    of("scan", "cumsum axis 1 1024x1024", || unary(numbers(MATRIX), |x| x.cumsum(1))),
    of("random", "normal 1M", || {
        let mut generator = Generator::new(1);
        run(move || generator.normal(MEDIUM, 0.0, 1.0, BitNetDType::F32))
    }),
    of("random", "uniform 1M", || {
        let mut generator = Generator::new(1);
        run(move || generator.uniform(MEDIUM, 0.0, 1.0, BitNetDType::F32))
    }),
];

/// `count` indices below `limit`.
fn indices(count: u32, limit: u32) -> Result<BitNetTensor> {
    let values = (0..count).map(|i| i64::from(i.wrapping_mul(2_654_435_761) % limit));
    BitNetTensor::try_from(values.collect::<Vec<_>>())
}
