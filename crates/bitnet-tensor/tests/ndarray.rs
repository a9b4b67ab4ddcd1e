//! Arrays of the crate `ndarray` as tensors and tensors as its arrays: the same elements, and who
//! copies.

use bitnet_tensor::BitNetDType::{BF16, F32, I64};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Element, Result, TensorOpError};
use bitnet_testkit::Random;
use bitnet_testkit::random::layouts;
use half::{bf16, f16};
use ndarray::{Array, Array3, ArrayD, Axis, Dimension, array, s};

/// The elements of an array in row-major order, by its own iterator.
fn listed<T: Element, D: Dimension>(x: &ndarray::ArrayRef<T, D>) -> Vec<T> {
    x.iter().copied().collect()
}

#[test]
fn owned_arrays_are_used_where_they_lie_in_any_order() -> Result<()> {
    let base = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (100 * i + 10 * j + k) as f32);
    let variants: Vec<Array3<f32>> = vec![
        base.clone(),
        base.clone().reversed_axes(),
        base.clone().permuted_axes([1, 0, 2]),
        base.clone().slice_move(s![.., 1..;2, ..;-1]),
        base.clone().slice_move(s![1.., ..;-2, 3..]),
        base.clone().slice_move(s![..0, .., ..]),
        Array3::zeros((0, 3, 2)),
        Array3::from_elem((1, 1, 1), 7.0),
    ];
    for array in variants {
        let (shape, elements) = (array.shape().to_vec(), listed(&array));
        let place = array.as_ptr();
        let x = BitNetTensor::try_from(array)?;
        assert_eq!((&**x.shape(), x.dtype(), x.device()), (&shape[..], F32, Device::CPU));
        assert_eq!(x.to_vec::<f32>()?, elements);
        assert_eq!(
            x.add(1)?.to_vec::<f32>()?,
            elements.iter().map(|x| x + 1.0).collect::<Vec<_>>()
        );
        if !elements.is_empty() {
            let data = x.host_data::<f32>()?;
            assert_eq!(&raw const data[x.layout().offset()], place, "no copy");
        }
    }
    Ok(())
}

/// Storage from outside is read-only: in-place work leaves other holders alone.
#[test]
fn an_array_is_not_written_over() -> Result<()> {
    let mut x = BitNetTensor::try_from(array![1.0f32, 2.0])?;
    let kept = x.clone();
    x += 1;
    assert_eq!((x.to_vec::<f32>()?, kept.to_vec::<f32>()?), (vec![2.0, 3.0], vec![1.0, 2.0]));
    assert!(kept.clone().try_mut::<f32>().is_err());
    Ok(())
}

#[test]
fn views_are_copied_in_row_major_order() -> Result<()> {
    let base = Array::from_shape_fn((3, 4), |(i, j)| (10 * i + j) as i64);
    for view in [base.view(), base.t(), base.slice(s![..;-1, 1..;2]), base.slice(s![.., ..0])] {
        let x = BitNetTensor::try_from(view)?;
        assert_eq!((&**x.shape(), x.dtype()), (view.shape(), I64));
        assert_eq!(x.to_vec::<i64>()?, listed(&view));
    }
    let row = base.row(1);
    assert_eq!(BitNetTensor::try_from(row)?.to_vec::<i64>()?, [10, 11, 12, 13]);
    let repeated = row.broadcast((2, 4)).expect("a row of four");
    assert_eq!(BitNetTensor::try_from(repeated)?.to_vec::<i64>()?, listed(&repeated));
    Ok(())
}

/// There and back, every type that both have.
fn round_trip<T: Element>(dtype: BitNetDType) -> Result<()> {
    let x = Random::new(7).tensor(dtype, &[2, 3, 5])?;
    for (layout, x) in layouts(&x)? {
        let array = x.to_ndarray::<T>()?;
        assert_eq!((array.shape(), listed(&array)), (&**x.shape(), x.to_vec::<T>()?), "{layout}");
        let view = x.as_ndarray_view::<T>()?;
        assert_eq!((view.shape(), listed(&view)), (&**x.shape(), x.to_vec::<T>()?), "{layout}");
        assert_eq!(BitNetTensor::try_from(view)?.to_vec::<T>()?, x.to_vec::<T>()?, "{layout}");
        let place = array.as_ptr();
        let back = BitNetTensor::try_from(array)?;
        assert_eq!(back.to_vec::<T>()?, x.to_vec::<T>()?, "{layout}");
        assert_eq!(back.as_slice::<T>()?.as_ptr(), place, "{layout}: no copy");
    }
    Ok(())
}

#[test]
fn every_type_goes_there_and_back() -> Result<()> {
    round_trip::<bool>(bool::DTYPE)?;
    round_trip::<u8>(u8::DTYPE)?;
    round_trip::<u16>(u16::DTYPE)?;
    round_trip::<u32>(u32::DTYPE)?;
    round_trip::<u64>(u64::DTYPE)?;
    round_trip::<i8>(i8::DTYPE)?;
    round_trip::<i16>(i16::DTYPE)?;
    round_trip::<i32>(i32::DTYPE)?;
    round_trip::<i64>(i64::DTYPE)?;
    round_trip::<f16>(f16::DTYPE)?;
    round_trip::<bf16>(bf16::DTYPE)?;
    round_trip::<f32>(f32::DTYPE)?;
    round_trip::<f64>(f64::DTYPE)
}

#[test]
fn every_view_of_a_tensor_is_seen_without_a_copy() -> Result<()> {
    let x = BitNetTensor::arange(0i64..24)?.reshape([2, 3, 4])?;
    let views = [
        x.clone(),
        x.transpose(0, 2)?,
        x.flip(&[0, 2])?,
        x.slice(2, 3, 2, -2)?.transpose(0, 1)?,
        x.narrow(1, 1, 1)?.expand([5, 2, 3, 4])?,
        x.narrow(0, 1, 1)?.flip(&[1])?.expand([3, 3, 4])?,
        x.windows(2, 3, 1, 1)?,
        x.diagonal(1, 1, 2)?,
        x.narrow(1, 3, 0)?,
        x.index(bitnet_tensor::s![1, 2, 3])?,
    ];
    for view in views {
        let wanted = view.to_vec::<i64>()?;
        let array = view.as_ndarray_view::<i64>()?;
        assert_eq!(
            (array.shape(), listed(&array)),
            (&**view.shape(), wanted),
            "{:?}",
            view.layout()
        );
        let inside = view.host_data::<i64>()?.as_ptr_range().contains(&array.as_ptr());
        assert!(array.is_empty() || inside, "{:?}", view.layout());
    }
    Ok(())
}

#[test]
fn what_is_no_array_says_why() -> Result<()> {
    let x = BitNetTensor::zeros([2], F32)?;
    assert_eq!(
        x.as_ndarray_view::<i64>().unwrap_err().to_string(),
        "host_data(f32[2]): the elements are not i64"
    );
    assert_eq!(
        x.to_ndarray::<i64>().unwrap_err().to_string(),
        "to_vec(f32[2]): the elements are not i64"
    );
    // More elements than an array may count, which a broadcast tensor may.
    let huge = BitNetTensor::zeros([1], BF16)?.expand([1 << 40, 1 << 23])?;
    let error = huge.as_ndarray_view::<bf16>().unwrap_err();
    assert!(matches!(error, TensorOpError::InvalidTensor(_)), "{error}");
    assert_eq!(error.context().operation, "as_ndarray_view");
    Ok(())
}

/// Code with arrays on both ends: columns normalised here, compared there.
#[test]
fn a_computation_between_two_arrays() -> Result<()> {
    let data = Array::from_shape_fn((50, 3), |(i, j)| ((i * (j + 2)) % 17) as f64);
    let x = BitNetTensor::try_from(data.view())?;
    let normalised = x.sub(x.mean(&[0], true)?)?.div(x.std(&[0], 0, true)?)?;
    let got = normalised.to_ndarray::<f64>()?;
    let mean = data.mean_axis(Axis(0)).expect("rows");
    let wanted: ArrayD<f64> = ((&data - &mean) / &data.std_axis(Axis(0), 0.0)).into_dyn();
    assert!((&got - &wanted).iter().all(|difference| difference.abs() < 1e-12));
    Ok(())
}
