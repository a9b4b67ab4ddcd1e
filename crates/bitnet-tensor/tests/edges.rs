//! Inputs at the edges of what a layout, a count or a byte can say.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bitnet_tensor::{
    BitNetDType, BitNetTensor, CodeLayout, Result, Storage, TensorOpError, TileEncoding,
};

use BitNetDType::{Bool, F32, I32, U8};

/// Nothing, beside sizes whose product exceeds `usize`.
#[test]
fn no_elements_beside_huge_sizes() -> Result<()> {
    const HUGE: usize = 1 << 40;
    let x = BitNetTensor::zeros([0, HUGE, HUGE], F32)?;
    let last = BitNetTensor::zeros([HUGE, HUGE, 0], F32)?;
    for x in [&x, &last] {
        assert!(x.neg()?.to_vec::<f32>()?.is_empty());
        assert!(x.add(x)?.to_vec::<f32>()?.is_empty());
        assert!(x.permute(&[1, 2, 0])?.copy()?.to_vec::<f32>()?.is_empty());
        assert!(x.to_dtype(I32)?.to_vec::<i32>()?.is_empty());
        assert!(BitNetTensor::cat(&[x, x], 0)?.to_vec::<f32>()?.is_empty());
        let sizes: Vec<String> = x.shape().iter().map(usize::to_string).collect();
        assert_eq!(x.to_string(), format!("tensor([], size=({}))", sizes.join(", ")));
        assert!(x.slice(0, 0, 0, 3)?.copy()?.to_vec::<f32>()?.is_empty());
        assert!(x.softmax(-1)?.to_vec::<f32>()?.is_empty());
    }
    assert!(x.sum(&[1, 2], false)?.to_vec::<f32>()?.is_empty());
    assert!(x.max(&[1, 2], false)?.to_vec::<f32>()?.is_empty());
    assert!(
        x.index_select(0, &BitNetTensor::zeros([0], BitNetDType::U32)?)?
            .to_vec::<f32>()?
            .is_empty()
    );
    // The result would have elements, more than there can be.
    assert!(matches!(last.sum(&[2], false), Err(TensorOpError::InvalidTensor(_))));
    assert!(matches!(last.max(&[2], false), Err(TensorOpError::ComputationError(_))));
    let full = BitNetTensor::full([HUGE, HUGE, 0], 1.0f32)?;
    assert!(full.to_vec::<f32>()?.is_empty());
    let (rows, columns) =
        (BitNetTensor::zeros([0, HUGE, 0], F32)?, BitNetTensor::zeros([0, 0, HUGE], F32)?);
    assert!(rows.matmul(&columns)?.to_vec::<f32>()?.is_empty());
    Ok(())
}

#[test]
fn the_step_between_the_elements_of_one_says_nothing() -> Result<()> {
    let x = BitNetTensor::from_vec((0..12).map(|v| v as f32).collect(), [4, 3])?;
    for step in [isize::MAX, isize::MIN] {
        let row = x.slice(0, 2, 1, step)?.slice(0, 0, 1, step)?;
        assert_eq!(row.to_vec::<f32>()?, [6.0, 7.0, 8.0]);
        assert_eq!(row.neg()?.to_vec::<f32>()?, [-6.0, -7.0, -8.0]);
        assert_eq!(row.matmul(&row.transpose(0, 1)?)?.to_vec::<f32>()?, [149.0]);
        assert_eq!(row.reshape([3])?.to_vec::<f32>()?, [6.0, 7.0, 8.0]);
    }
    Ok(())
}

#[test]
fn a_view_may_count_more_elements_than_memory_has_bytes() -> Result<()> {
    let x = BitNetTensor::scalar(1.0f32)?.expand([usize::MAX])?;
    assert_eq!(x.byte_size(), usize::MAX);
    assert!(matches!(x.copy(), Err(TensorOpError::InvalidTensor(_))));
    Ok(())
}

/// What the documentation of `from_foreign` promises, whatever reads them.
#[test]
fn foreign_bytes_that_are_no_bool_are_found() -> Result<()> {
    let x = BitNetTensor::from_foreign(Arc::new(vec![0u8, 1, 2]), 0..3, Bool, [3])?;
    assert!(matches!(x.to_vec::<bool>(), Err(TensorOpError::InvalidTensor(_))));
    assert!(matches!(x.to_dtype(U8), Err(TensorOpError::InvalidTensor(_))));
    assert!(matches!(x.to_dtype(F32), Err(TensorOpError::InvalidTensor(_))));
    assert!(matches!(x.copy(), Err(TensorOpError::InvalidTensor(_))));
    assert!(BitNetTensor::cat(&[&x, &x], 0)?.to_vec::<bool>().is_err(), "moved, not read");
    Ok(())
}

#[test]
fn tiled_codes_are_looked_at() -> Result<()> {
    for encoding in [TileEncoding::TwoBit, TileEncoding::FiveBit] {
        let (layout, columns) = (CodeLayout::Tiled(encoding), encoding.columns());
        let codes = BitNetTensor::full([encoding.tile_bytes()], 0xffu8)?;
        let scales = BitNetTensor::full([16], 1.0f32)?;
        let weight = BitNetTensor::packed_from_parts(layout, codes, scales, [16, columns]);
        assert!(matches!(weight, Err(TensorOpError::ComputationError(_))), "{weight:?}");
    }
    Ok(())
}

#[test]
fn more_columns_than_a_sum_of_codes_can_count_are_refused() -> Result<()> {
    let x = BitNetTensor::scalar(1.0f32)?.expand([1, 1 << 24])?;
    assert!(matches!(x.quantize_activation(), Err(TensorOpError::ShapeMismatch(_))));
    Ok(())
}

#[test]
fn operators_that_own_their_operand_refuse_what_the_methods_refuse() -> Result<()> {
    let (a, b) = (BitNetTensor::full([2], 4i32)?, BitNetTensor::full([2], 2i32)?);
    let expected = a.div(&b).expect_err("integers").to_string();
    let panic = catch_unwind(AssertUnwindSafe(move || a / &b)).expect_err("a panic");
    assert_eq!(panic.downcast_ref::<String>(), Some(&expected));

    let flag = BitNetTensor::full([2], true)?;
    let expected = flag.add(&flag).expect_err("bool");
    let other = flag.copy()?;
    assert_eq!(flag.into_add(&other).expect_err("bool"), expected);
    Ok(())
}

#[test]
fn a_weak_handle_to_the_storage_shares_it() -> Result<()> {
    let mut x = BitNetTensor::full([2], 1.0f32)?;
    let Storage::Host(buffer) = x.storage() else { panic!("on the host") };
    let weak = Arc::downgrade(buffer);
    assert!(!x.is_unique());
    assert!(matches!(x.try_mut::<f32>(), Err(TensorOpError::InvalidTensor(_))));
    assert_eq!(x.into_neg()?.to_vec::<f32>()?, [-1.0, -1.0]);
    drop(weak);
    Ok(())
}

/// The general product reads strides of zero, negative ones, and axes of one as they come.
#[test]
fn products_of_expanded_and_reversed_matrices() -> Result<()> {
    for (m, k, n) in [(1, 1, 1), (1, 5, 7), (7, 5, 1), (4, 1, 6), (5, 9, 5), (20, 33, 19)] {
        let row = BitNetTensor::from_vec((0..k).map(|v| v as f32).collect(), [1, k])?;
        let column = BitNetTensor::from_vec((0..k).map(|v| (v % 3) as f32).collect(), [k, 1])?;
        let a = row.slice(1, k - 1, k, -1)?.expand([m, k])?;
        let b = column.slice(0, k - 1, k, -1)?.expand([k, n])?;
        let sum: usize = (0..k).map(|v| v * (v % 3)).sum();
        assert_eq!(a.matmul(&b)?.to_vec::<f32>()?, vec![sum as f32; m * n], "{m} {k} {n}");
        let scalar = BitNetTensor::full([1, 1], 2.0f32)?;
        let (a, b) = (scalar.expand([m, k])?, scalar.expand([k, n])?);
        assert_eq!(a.matmul(&b)?.to_vec::<f32>()?, vec![4.0 * k as f32; m * n], "{m} {k} {n}");
    }
    Ok(())
}

#[test]
fn bits_are_read_anew_in_every_layout() -> Result<()> {
    let x = BitNetTensor::from_vec(vec![1.0f32, -2.0, 0.5, f32::NAN, -0.0, 3.5], [2, 3])?;
    let reversed = x.transpose(0, 1)?.slice(0, 2, 3, -1)?;
    let bits = reversed.bitcast(BitNetDType::I32)?;
    assert!(bits.shares_storage_with(&x));
    let expected: Vec<i32> =
        reversed.to_vec::<f32>()?.into_iter().map(|value| value.to_bits() as i32).collect();
    assert_eq!(bits.to_vec::<i32>()?, expected);
    let back = bits.bitcast(BitNetDType::F32)?.to_vec::<f32>()?;
    assert!(back.iter().zip(&expected).all(|(value, &bits)| value.to_bits() as i32 == bits));
    Ok(())
}
