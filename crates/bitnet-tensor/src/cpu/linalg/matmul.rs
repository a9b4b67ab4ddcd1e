//! Matrix products, dense and quantized.

use bitnet_kernels::dense::{self, Matrix, Weights};
use bitnet_kernels::tiled::{self, TiledLayout, TiledMatrix};
use bitnet_kernels::{Cpu, OperandError, QuantizedRows, int8, parallel};
use half::{bf16, f16};

use crate::error::{Result, bail, error};
use crate::layout::Layout;
use crate::shape::count;
use crate::storage::CodeLayout;
use crate::{BitNetDType, BitNetTensor, Element, TensorShape};

pub(in crate::cpu) fn matmul(
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    use BitNetDType::{BF16, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    match a.dtype() {
        F32 => each::<f32, f32>(a, b, out, dense::matmul),
        F64 => each::<f64, f64>(a, b, out, dense::matmul),
        F16 => each::<f16, f16>(a, b, out, dense::matmul_half),
        BF16 => each::<bf16, bf16>(a, b, out, dense::matmul_half),
        U8 => each::<u8, u8>(a, b, out, dense::matmul_integer),
        U16 => each::<u16, u16>(a, b, out, dense::matmul_integer),
        U32 => each::<u32, u32>(a, b, out, dense::matmul_integer),
        U64 => each::<u64, u64>(a, b, out, dense::matmul_integer),
        // The low bits of a product do not know a sign.
        signed @ (I8 | I16 | I32 | I64) => {
            let unsigned = match signed {
                I8 => U8,
                I16 => U16,
                I32 => U32,
                _ => U64,
            };
            out.reinterpret(unsigned);
            let done = matmul(&a.reinterpreted(unsigned), &b.reinterpreted(unsigned), out);
            out.reinterpret(signed);
            done
        }
        _ => bail!(UnsupportedOperation, "matmul", &[a, b], "not on the CPU for this type"),
    }
}

pub(in crate::cpu) fn matmul_i32(
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    each::<i8, i32>(a, b, out, dense::matmul_integer)
}

/// Multiplications that one piece of work has.
const GRAIN: usize = 1 << 18;

/// Rows or columns from which on a product uses threads inside (see `dense::matmul`).
const LARGE: usize = 257;

/// `product` of each pair of matrices, read where they lie.
fn each<T: Element, Sum: Element + bytemuck::AnyBitPattern>(
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
    product: fn(Matrix<'_, T>, Matrix<'_, T>, &mut [Sum]),
) -> Result<()> {
    if out.element_count() == 0 {
        return Ok(());
    }
    let batch = TensorShape::from(&out.shape()[..a.rank().max(b.rank()) - 2]);
    let expanded = |t: &BitNetTensor| {
        let matrix = &t.shape()[t.rank() - 2..];
        t.layout().expand(&batch.iter().chain(matrix).copied().collect())
    };
    let (a_layout, b_layout) = (expanded(a), expanded(b));
    let [rows, inner] = [a.shape()[a.rank() - 2], a.shape()[a.rank() - 1]];
    let columns = b.shape()[b.rank() - 1];
    let matrix = rows * columns;
    let (a, b) = (a.host_data::<T>()?, b.host_data::<T>()?);
    let work = matrix.saturating_mul(inner.max(1));
    let whole = rows.max(columns) < LARGE || work <= GRAIN;
    let grain = if whole { (GRAIN / work).max(1) } else { count(&batch) };
    parallel::for_each_chunk_mut(out.try_mut::<Sum>()?, grain * matrix, |piece, out| {
        for (n, out) in out.chunks_exact_mut(matrix).enumerate() {
            let index = piece * grain + n;
            let (a, b) = (matrix_of(&a_layout, a, index), matrix_of(&b_layout, b, index));
            product(a, b, out);
        }
    });
    Ok(())
}

/// Matrix number `index` in the row-major order of the leading axes.
fn matrix_of<'a, T>(layout: &Layout, data: &'a [T], index: usize) -> Matrix<'a, T> {
    let (shape, strides) = (layout.shape(), layout.strides());
    let batch_rank = shape.rank() - 2;
    let (mut offset, mut rest) = (layout.offset() as isize, index);
    for axis in (0..batch_rank).rev() {
        offset += (rest % shape[axis]) as isize * strides[axis];
        rest /= shape[axis];
    }
    Matrix {
        data,
        offset: offset as usize,
        rows: shape[batch_rank],
        cols: shape[batch_rank + 1],
        row_stride: strides[batch_rank],
        col_stride: strides[batch_rank + 1],
    }
}

pub(in crate::cpu) fn linear(
    cpu: Cpu,
    x: &BitNetTensor,
    weight: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    if x.dtype() == BitNetDType::F64 {
        return matmul(&x.as_rows()?, &weight.transpose(0, 1)?, out);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let weights = match weight.dtype() {
        BitNetDType::F32 => Weights::F32(weight.as_slice()?),
        BitNetDType::BF16 => Weights::Bf16(weight.as_slice()?),
        BitNetDType::F16 => Weights::F16(weight.as_slice()?),
        _ => bail!(UnsupportedOperation, "linear", &[&x, &weight], "weights are f32, f16 or bf16"),
    };
    dense::linear(cpu, x.as_slice()?, weight.shape()[1], weights, None, out.try_mut()?);
    Ok(())
}

/// Runs `body` on an activation's codes, scales and sums as the kernels take them.
fn with_rows<R>(
    features: usize,
    parts: [&BitNetTensor; 3],
    body: impl FnOnce(&QuantizedRows<'_>) -> Result<R>,
) -> Result<R> {
    let [codes, scales, sums] = parts;
    let (codes, scales, sums) = (codes.contiguous()?, scales.contiguous()?, sums.contiguous()?);
    let stride = codes.shape().last().copied().unwrap_or(0);
    let rows = QuantizedRows::new(
        codes.as_slice()?,
        stride,
        features,
        scales.as_slice()?,
        sums.as_slice()?,
    )
    .map_err(|cause| operand_error("linear", &parts, cause))?;
    body(&rows)
}

pub(in crate::cpu) fn operand_error(
    name: &'static str,
    operands: &[&BitNetTensor],
    cause: OperandError,
) -> crate::TensorOpError {
    error!(ComputationError, name, operands, "{cause}")
}

pub(in crate::cpu) fn packed_linear(
    cpu: Cpu,
    features: usize,
    parts: [&BitNetTensor; 3],
    weight: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let (encoding, codes, scales) = match weight.packed_parts() {
        Some((CodeLayout::Tiled(encoding), codes, scales)) => (encoding, codes, scales),
        // As another device wants it, which has left this product to the CPU.
        Some((CodeLayout::Words | CodeLayout::Int6Bytes, ..)) => {
            let weight = BitNetTensor::prepare_weight(&[weight])?;
            return packed_linear(cpu, features, parts, &weight, out);
        }
        _ => bail!(
            UnsupportedOperation,
            "linear",
            &[weight],
            "the weight is not prepared: see BitNetTensor::prepare_weight"
        ),
    };
    let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
    let failed = |cause| operand_error("linear", &[weight], cause);
    let layout = TiledLayout::new(encoding, rows, columns).map_err(failed)?;
    let matrix = TiledMatrix::new(layout, codes.as_slice()?, scales.as_slice()?).map_err(failed)?;
    with_rows(features, parts, |x| {
        tiled::gemm(cpu, &matrix, x, out.try_mut()?);
        Ok(())
    })
}

pub(in crate::cpu) fn linear_int8(
    cpu: Cpu,
    features: usize,
    parts: [&BitNetTensor; 3],
    weight: &BitNetTensor,
    weight_scales: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let (weight, weight_scales) = (weight.contiguous()?, weight_scales.contiguous()?);
    let matrix = int8::Int8Matrix::new(weight.as_slice()?, features, weight_scales.as_slice()?)
        .map_err(|cause| operand_error("linear_int8", &[&weight], cause))?;
    with_rows(features, parts, |x| {
        int8::linear(cpu, &matrix, x, out.try_mut()?);
        Ok(())
    })
}
