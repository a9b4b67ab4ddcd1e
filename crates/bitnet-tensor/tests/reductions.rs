//! What golden data cannot say of reductions: how exact long sums are, that results do not depend
//! on the number of threads, and 64-bit integers, which the reference's `f64` does not hold.

use bitnet_kernels::parallel;
use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;

const MANY: usize = 10_000_000;

/// Numbers of several distributions, with their names.
fn distributions(count: usize) -> Vec<(&'static str, Vec<f32>)> {
    let mut random = Random::new(1);
    let mut values =
        |f: &mut dyn FnMut(f64) -> f64| (0..count).map(|_| f(random.unit()) as f32).collect();
    vec![
        ("one number", values(&mut |_| 0.1)),
        ("uniform", values(&mut |u| u)),
        ("positive", values(&mut |u| u.abs())),
        ("of very different sizes", values(&mut |u| (20.0 * u).exp())),
        ("far from zero", values(&mut |u| 1000.0 + u)),
        ("heavy tails", values(&mut |u| (1.5 * u).tan())),
    ]
}

#[test]
fn ten_million_numbers_are_summed_within_a_millionth() -> Result<()> {
    for (name, values) in distributions(MANY) {
        let exact: f64 = values.iter().map(|&x| f64::from(x)).sum();
        let x = BitNetTensor::from_vec(values, [MANY])?;
        let half = MANY / 2;
        let sums = [
            x.sum(&[], false)?,
            // Read backwards, with a step, and across.
            x.slice(0, MANY - 1, MANY, -1)?.sum(&[], false)?,
            x.reshape([half, 2])?.sum(&[0], false)?.sum(&[], false)?,
            x.reshape([half, 2])?.transpose(0, 1)?.sum(&[0], false)?.sum(&[], false)?,
            x.reshape([MANY / 50, 50])?.sum(&[0], false)?.sum(&[], false)?,
            x.reshape([MANY / 5000, 5000])?.sum(&[0], false)?.sum(&[], false)?,
        ];
        for (n, sum) in sums.iter().enumerate() {
            let error = (f64::from(sum.item::<f32>()?) - exact).abs() / exact.abs();
            assert!(error <= 1e-6, "{name}, way {n}: {error:e}");
        }
    }
    Ok(())
}

#[test]
fn sums_of_f64_lose_nothing_on_the_way() -> Result<()> {
    // 1 and 10^16 in turn, then the negative of the large ones.
    let mut values: Vec<f64> = (0..20_000).map(|i| if i % 2 == 0 { 1.0 } else { 1e16 }).collect();
    values.extend((0..10_000).map(|_| -1e16));
    let columns =
        BitNetTensor::from_slice(&values, [values.len(), 1])?.expand([30_000, 20])?.copy()?;
    assert_eq!(columns.sum(&[0], false)?.to_vec::<f64>()?, [10_000.0; 20]);
    Ok(())
}

#[test]
fn the_number_of_threads_changes_nothing() -> Result<()> {
    let mut random = Random::new(2);
    let wide = random.tensor(F32, &[300, 1000])?;
    let long = random.tensor(F64, &[200_000, 5])?;
    let bits = |threads: usize| -> Result<Vec<u64>> {
        parallel::set_num_threads(threads);
        let mut bits = Vec::new();
        for x in [&wide, &long] {
            for axes in [&[0][..], &[1], &[]] {
                for y in [x.sum(axes, false)?, x.mean(axes, false)?, x.prod(axes, false)?] {
                    bits.extend(y.to_dtype(F64)?.to_vec::<f64>()?.iter().map(|v| v.to_bits()));
                }
            }
        }
        Ok(bits)
    };
    let one = bits(1)?;
    for threads in [2, 3, 7] {
        assert_eq!(bits(threads)?, one);
    }
    Ok(())
}

#[test]
fn sixty_four_bit_integers_wrap_around_and_keep_their_order() -> Result<()> {
    let numbers = [u64::MAX, 3, 1 << 63, (1 << 63) - 1, u64::MAX - 1, 0];
    // Along the row, and across the columns of many rows.
    for copies in [1, 40] {
        let row = BitNetTensor::from_slice(&numbers, [6, 1])?.expand([6, copies])?.copy()?;
        let signed = row.to_dtype(bitnet_tensor::BitNetDType::I64)?;
        let sum = numbers.iter().fold(0u64, |a, &b| a.wrapping_add(b));
        assert_eq!(row.sum(&[0], false)?.to_vec::<u64>()?, vec![sum; copies]);
        assert_eq!(signed.sum(&[0], false)?.to_vec::<i64>()?, vec![sum as i64; copies]);
        let some = row.narrow(0, 0, 5)?;
        let product = numbers[..5].iter().fold(1u64, |a, &b| a.wrapping_mul(b));
        assert_eq!(some.prod(&[0], false)?.to_vec::<u64>()?, vec![product; copies]);
        assert_eq!(row.max(&[0], false)?.to_vec::<u64>()?, vec![u64::MAX; copies]);
        assert_eq!(row.min(&[0], false)?.to_vec::<u64>()?, vec![0; copies]);
        assert_eq!(row.argmin(0, false)?.to_vec::<i64>()?, vec![5; copies]);
        assert_eq!(row.argmax(0, false)?.to_vec::<i64>()?, vec![0; copies]);
        assert_eq!(signed.max(&[0], false)?.to_vec::<i64>()?, vec![i64::MAX; copies]);
        assert_eq!(signed.argmin(0, false)?.to_vec::<i64>()?, vec![2; copies]);
    }
    Ok(())
}

#[test]
fn orders_of_sixty_four_bit_integers_are_exact() -> Result<()> {
    let numbers = [1i64 << 60, (1 << 60) + 1, i64::MIN, -1, i64::MAX, (1 << 60) - 1, i64::MIN, 0];
    let x = BitNetTensor::from_slice(&numbers, [8])?;
    let mut sorted = numbers;
    sorted.sort();
    let (values, places) = x.sort(0, false)?;
    assert_eq!(values.to_vec::<i64>()?, sorted);
    assert_eq!(places.to_vec::<i64>()?, [2, 6, 3, 7, 5, 0, 1, 4]);
    assert_eq!(x.topk(3, 0, true)?.0.to_vec::<i64>()?, [sorted[7], sorted[6], sorted[5]]);
    assert_eq!(values.searchsorted(&x, true)?.to_vec::<i64>()?, [6, 7, 2, 3, 8, 5, 2, 4]);
    assert_eq!(x.unique(None)?.counts.to_vec::<i64>()?, [2, 1, 1, 1, 1, 1, 1]);
    assert_eq!(x.cummax(0)?.1.to_vec::<i64>()?, [0, 1, 1, 1, 4, 4, 4, 4]);
    let mut sum = 0i64;
    let sums: Vec<i64> = numbers
        .iter()
        .map(|&x| {
            sum = sum.wrapping_add(x);
            sum
        })
        .collect();
    assert_eq!(x.cumsum(0)?.to_vec::<i64>()?, sums);
    let unsigned = x.to_dtype(bitnet_tensor::BitNetDType::U64)?;
    let mut sorted = numbers.map(|x| x as u64);
    sorted.sort();
    assert_eq!(unsigned.sort(0, false)?.0.to_vec::<u64>()?, sorted);
    sorted.reverse();
    assert_eq!(unsigned.sort(0, true)?.0.to_vec::<u64>()?, sorted);
    Ok(())
}

#[test]
fn variances_far_from_zero_keep_their_digits() -> Result<()> {
    // Offsets that leave few digits for the spread of 0, 1, 2, 3.
    let spread: Vec<f64> = (0..4000).map(|i| f64::from(i % 4)).collect();
    for offset in [0.0, 1e6, 1e12] {
        let values: Vec<f64> = spread.iter().map(|x| x + offset).collect();
        let x = BitNetTensor::from_vec(values, [4000])?;
        assert_eq!(x.var(&[], 0, false)?.item::<f64>()?, 1.25);
        let columns = x.reshape([200, 20])?.transpose(0, 1)?.copy()?.transpose(0, 1)?;
        assert_eq!(columns.var(&[1], 0, false)?.to_vec::<f64>()?, [1.25; 200]);
        assert_eq!(x.reshape([40, 100])?.var(&[0], 0, false)?.to_vec::<f64>()?, [0.0; 100]);
    }
    let values: Vec<f32> = spread.iter().map(|&x| x as f32 + 4_000_000.0).collect();
    assert_eq!(BitNetTensor::from_vec(values, [4000])?.var(&[], 0, false)?.item::<f32>()?, 1.25);
    Ok(())
}

/// Nothing, beside sizes whose product exceeds `usize`.
#[test]
fn no_elements_beside_huge_sizes() -> Result<()> {
    const HUGE: usize = 1 << 40;
    let x = BitNetTensor::zeros([0, HUGE, HUGE], F32)?;
    let empty = |y: BitNetTensor| Ok::<_, bitnet_tensor::TensorOpError>(y.element_count() == 0);
    for axes in [&[1, 2][..], &[1], &[2]] {
        assert!(empty(x.prod(axes, true)?)? && empty(x.all(axes, false)?)?);
        assert!(empty(x.var(axes, 1, true)?)? && empty(x.norm(2.0, axes, false)?)?);
        assert!(empty(x.logsumexp(axes, true)?)? && empty(x.median(axes, false)?)?);
    }
    for axis in [0, 1, 2] {
        assert!(empty(x.cumsum(axis)?)? && empty(x.cummax(axis)?.1)?);
        assert!(empty(x.sort(axis, true)?.0)? && empty(x.diff(1, axis)?)?);
    }
    assert!(empty(x.argmax(1, false)?)? && empty(x.argmin(2, true)?)?);
    assert!(empty(x.unique(None)?.values)? && empty(x.unique(0)?.values)?);
    let middle = BitNetTensor::zeros([0, 50, HUGE, HUGE], F32)?;
    assert!(empty(middle.sum(&[1], false)?)? && empty(middle.max(&[1], false)?)?);
    assert_eq!(x.sum(&[], false)?.item::<f32>()?, 0.0);
    assert!(x.argmax(0, false).is_err() && x.argmax(None, false).is_err());
    Ok(())
}
