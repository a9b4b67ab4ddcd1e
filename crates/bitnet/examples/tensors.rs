//! Tensors as in NumPy, and the two steps of a BitNet layer: weights become ternary, and the
//! product is computed in integers.
//!
//! ```text
//! cargo run --release -p bitnet --example tensors
//! ```

use bitnet::{BitNetDType, BitNetTensor, TensorOpError};

fn main() -> Result<(), TensorOpError> {
    // Broadcasting, views and reductions.
    let x = BitNetTensor::arange(0..12)?.to_dtype(BitNetDType::F32)?.reshape([3, 4])?;
    let column = BitNetTensor::from_slice(&[10.0f32, 20.0, 30.0], [3, 1])?;
    println!("x + column =\n{}", &x + &column);
    println!("x transposed (a view) =\n{}", x.transpose(0, 1)?);
    println!("sum of each row = {}", x.sum(&[1], false)?);

    // A ternary weight: codes of −1, 0 and +1 with one scale.
    let weight = BitNetTensor::from_slice(&[0.9f32, -0.8, 0.1, 0.0, -1.1, 1.0, 0.2, 0.7], [2, 4])?;
    let ternary = weight.ternarize()?;
    println!("{} bytes as floats, {} ternary", weight.byte_size(), ternary.byte_size());

    let exact = x.linear(&weight)?;
    let ternary = x.linear(&BitNetTensor::prepare_weight(&[&ternary])?)?;
    println!("x · weightᵀ =\n{exact}\nwith the ternary weight =\n{ternary}");
    Ok(())
}
