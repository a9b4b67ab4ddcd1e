//! Misuses of memory: sizes, sharing, devices and foreign bytes. A misuse, its class and its message;
//! those of shapes, axes and types are in `errors`.

use std::sync::Arc;

use bitnet_tensor::BitNetDType::{self, Bool, F32, F64, Ternary, U8, U32};
use bitnet_tensor::{BitNetTensor, Device, MappedFile, Result, TensorOpError};
use bitnet_testkit::MockDevice;

fn zeros(shape: &[usize], dtype: BitNetDType) -> BitNetTensor {
    BitNetTensor::zeros(shape, dtype).expect("memory")
}

fn f32s(shape: &[usize]) -> BitNetTensor {
    zeros(shape, F32)
}

fn ids(values: &[u32], shape: &[usize]) -> BitNetTensor {
    BitNetTensor::from_slice(values, shape).expect("memory")
}

fn ternary() -> BitNetTensor {
    BitNetTensor::full([4, 8], 1.0f32).and_then(|w| w.ternarize()).expect("memory")
}

/// Asserts the variant and the whole message.
macro_rules! assert_error {
    ($result:expr, $variant:ident, $message:expr) => {
        match $result {
            Ok(_) => panic!("no error: {}", stringify!($result)),
            Err(error) => {
                assert_eq!(error.to_string(), $message);
                assert!(matches!(error, TensorOpError::$variant(_)), "{error:?}");
            }
        }
    };
}

#[test]
fn sizes_that_overflow() {
    let huge = usize::MAX / 2;
    assert_error!(
        BitNetTensor::zeros([huge, 3], F32),
        InvalidTensor,
        "empty: f32[9223372036854775807, 3] exceeds the address space"
    );
    assert_error!(
        BitNetTensor::zeros([huge], F64),
        InvalidTensor,
        "empty: f64[9223372036854775807] exceeds the address space"
    );
    let error = BitNetTensor::zeros([1 << 60], U8).expect_err("more than there is");
    assert!(matches!(error, TensorOpError::MemoryError(_)), "{error:?}");
    let start = "allocate: the system has no 1152921504606846976 bytes: ";
    assert!(error.to_string().starts_with(start), "{error}");
    assert_error!(
        BitNetTensor::full([1usize << 60, 1 << 10], 0u8),
        BroadcastError,
        "expand(u8[]): does not broadcast to [1152921504606846976, 1024]"
    );
    assert_error!(
        BitNetTensor::from_slice(&[0u8; 4], [usize::MAX, 2]),
        InvalidTensor,
        "from_slice: 4 values do not fill the shape [18446744073709551615, 2]"
    );
    assert!(BitNetTensor::zeros([usize::MAX, 2, 0], F32).is_ok(), "nothing needs no memory");

    // A view of one element as more than there is memory for: its copy and its sums fail cleanly.
    let wide = BitNetTensor::scalar(1.0f32)
        .and_then(|x| x.expand([1usize << 40, 1 << 22]))
        .expect("a view");
    assert!(matches!(
        wide.copy(),
        Err(TensorOpError::InvalidTensor(_) | TensorOpError::MemoryError(_))
    ));
    let wide = wide.narrow(1, 0, 1 << 20).expect("a view");
    assert!(matches!(
        wide.neg(),
        Err(TensorOpError::InvalidTensor(_) | TensorOpError::MemoryError(_))
    ));
    assert!(matches!(
        wide.add(&wide),
        Err(TensorOpError::InvalidTensor(_) | TensorOpError::MemoryError(_))
    ));
    assert!(matches!(
        BitNetTensor::cat(&[&wide, &wide], 0),
        Err(TensorOpError::InvalidTensor(_) | TensorOpError::MemoryError(_))
    ));
}

#[test]
fn storage_that_must_not_be_written() -> Result<()> {
    let mut x = f32s(&[2, 3]);
    let view = x.narrow(0, 0, 1)?;
    assert_error!(
        x.try_mut::<f32>(),
        InvalidTensor,
        "host_data_mut(f32[2, 3]): the storage is shared, foreign or not on the host"
    );
    drop(view);
    x.try_mut::<f32>()?[0] = 1.0;
    let mut transposed = x.transpose(0, 1)?;
    drop(x);
    assert_error!(
        transposed.try_mut::<f32>(),
        InvalidTensor,
        "try_mut(f32[3, 2]): the elements are not contiguous"
    );
    assert_error!(
        transposed.as_slice::<f32>(),
        InvalidTensor,
        "as_slice(f32[3, 2]): the elements are not contiguous: copy() first"
    );

    let mut target = f32s(&[1, 3, 2]);
    let shared = target.clone();
    assert_error!(
        target.write_rows(&ids(&[0], &[1, 1]), &f32s(&[1, 1, 2])),
        InvalidTensor,
        "write_rows(f32[1, 3, 2], u32[1, 1], f32[1, 1, 2]): the storage to write to is shared or foreign"
    );
    drop(shared);
    assert!(target.write_rows(&ids(&[0], &[1, 1]), &f32s(&[1, 1, 2])).is_ok());
    assert_error!(
        target.write_rows(&ids(&[0], &[1]), &f32s(&[1, 1, 2])),
        ShapeMismatch,
        "write_rows(f32[1, 3, 2], u32[1], f32[1, 1, 2]): target is [batch, capacity, …], positions [batch, tokens], rows [batch, tokens, …]"
    );
    Ok(())
}

#[test]
fn devices_that_differ_or_do_not_exist() {
    let nowhere = Device::new("nowhere", 3);
    assert_error!(
        f32s(&[2]).to_device(nowhere),
        DeviceMismatch,
        "device: no backend is registered for nowhere:3"
    );
    assert_error!(
        BitNetTensor::empty([2], F32, nowhere),
        DeviceMismatch,
        "device: no backend is registered for nowhere:3"
    );
    let mock = MockDevice::register(20).expect("registered");
    let there = f32s(&[2]).to_device(mock.device()).expect("moved");
    assert_error!(
        f32s(&[2]).add(&there),
        DeviceMismatch,
        "add(f32[2], f32[2]@mock:20): the operands are on different devices"
    );
    assert_error!(
        there.clone().into_add(&f32s(&[2])),
        DeviceMismatch,
        "add(f32[2]@mock:20, f32[2]): the operands are on different devices"
    );
    assert_error!(
        there.as_slice::<f32>(),
        InvalidTensor,
        "host_data(f32[2]@mock:20): the elements are not in host memory"
    );
    let weight = ternary().to_device(mock.device()).expect("moved");
    assert_error!(
        BitNetTensor::prepare_weight(&[&ternary(), &weight]),
        DeviceMismatch,
        "prepare_weight(ternary[4, 8], ternary[4, 8]@mock:20): the weights are on different devices"
    );
}

#[test]
fn foreign_bytes() -> Result<()> {
    let bytes: Arc<Vec<u8>> = Arc::new((0..32).collect());
    let foreign = |range: std::ops::Range<usize>, dtype, shape: &[usize]| {
        BitNetTensor::from_foreign(bytes.clone(), range, dtype, shape)
    };
    assert_error!(
        foreign(30..34, U8, &[4]),
        InvalidTensor,
        "from_foreign: bytes 30..34 are outside of 32 bytes"
    );
    #[allow(clippy::reversed_empty_ranges, reason = "the misuse that is tested")]
    let reversed = foreign(8..4, U8, &[4]);
    assert_error!(reversed, InvalidTensor, "from_foreign: bytes 8..4 are outside of 32 bytes");
    assert_error!(
        foreign(0..6, F32, &[1]),
        InvalidTensor,
        "from_foreign: 6 bytes are not the size of f32[1]"
    );
    assert_error!(
        foreign(0..8, F32, &[usize::MAX, 2]),
        InvalidTensor,
        "from_foreign: 8 bytes are not the size of f32[18446744073709551615, 2]"
    );
    assert_error!(
        foreign(0..8, Ternary, &[4, 8]),
        UnsupportedOperation,
        "from_foreign: ternary is made by `packed_from_parts`"
    );

    // Aligned bytes are used in place and never written; others are copied.
    let first = bytes.as_ptr().align_offset(4);
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| (at + n) as u8));
    let mut in_place = foreign(first..first + 8, U32, &[2])?;
    assert_eq!(in_place.to_vec::<u32>()?, [word(first), word(first + 4)]);
    assert_eq!(in_place.as_slice::<u32>()?.as_ptr().cast::<u8>(), bytes[first..].as_ptr());
    assert!(!in_place.is_unique());
    assert_error!(
        in_place.try_mut::<u32>(),
        InvalidTensor,
        "host_data_mut(u32[2]): the storage is shared, foreign or not on the host"
    );
    let sum = in_place + &BitNetTensor::from_vec(vec![1u32, 1], [2])?;
    assert_eq!(sum.to_vec::<u32>()?, [word(first) + 1, word(first + 4) + 1]);
    assert_eq!(bytes[first], first as u8, "the foreign bytes are as they were");

    let mut copied = foreign(first + 1..first + 9, U32, &[2])?;
    assert_eq!(copied.to_vec::<u32>()?, [word(first + 1), word(first + 5)]);
    assert!(copied.try_mut::<u32>().is_ok());

    // A byte that is no bool is found when it is read, by every reader.
    let no_bool = foreign(0..4, Bool, &[4])?;
    assert!(matches!(no_bool.to_vec::<bool>(), Err(TensorOpError::InvalidTensor(_))));
    let empty = foreign(32..32, F32, &[0])?;
    assert_eq!(empty.to_vec::<f32>()?, [0.0f32; 0]);
    Ok(())
}

#[test]
fn views_of_mapped_files() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("bitnet-tensor-mapped-{}", std::process::id()));
    let values: Vec<u8> = (0..6u32).flat_map(|n| (n as f32).to_le_bytes()).collect();
    std::fs::write(&path, &values)?;
    let file = Arc::new(MappedFile::open(&path)?);
    let matrix = BitNetTensor::from_foreign(file.clone(), 0..24, F32, [2, 3])?;
    let view = matrix.transpose(0, 1)?.slice(0, 2, 2, -2)?;
    assert!(view.shares_storage_with(&matrix));
    drop(matrix);
    assert_eq!(view.to_vec::<f32>()?, [2.0, 5.0, 0.0, 3.0]);
    let negative = view.neg()?;
    assert_eq!(negative.to_vec::<f32>()?, [-2.0, -5.0, -0.0, -3.0]);
    drop(view);
    assert_eq!(Arc::strong_count(&file), 1, "the last view gave the file back");
    std::fs::remove_file(&path)?;
    std::fs::write(&path, [])?;
    assert_eq!(MappedFile::open(&path)?.as_ref(), [0u8; 0]);
    std::fs::remove_file(&path)?;
    assert!(MappedFile::open(&path).is_err());
    Ok(())
}
