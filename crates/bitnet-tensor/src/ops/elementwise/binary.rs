//! Arithmetic on two tensors with NumPy's broadcasting.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, apply_reusing};
use crate::error::{Result, bail};
use crate::ops::{
    BinaryKind, Derivative, Operand, OperandGradients, OperandTypes, Operation, Specs, TensorSpec,
};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// A function of two elements, broadcast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Binary(pub BinaryKind);

impl Operation for Binary {
    fn name(&self) -> &'static str {
        match self.0 {
            BinaryKind::Add => "add",
            BinaryKind::Sub => "sub",
            BinaryKind::Mul => "mul",
            BinaryKind::Div => "div",
            BinaryKind::Max => "maximum",
            BinaryKind::Min => "minimum",
            BinaryKind::FloorDiv => "floor_div",
            BinaryKind::Rem => "rem",
            BinaryKind::Fmod => "fmod",
            BinaryKind::Pow => "pow",
            BinaryKind::Atan2 => "atan2",
            BinaryKind::Hypot => "hypot",
            BinaryKind::Copysign => "copysign",
            BinaryKind::And => "bitand",
            BinaryKind::Or => "bitor",
            BinaryKind::Xor => "bitxor",
            BinaryKind::Shl => "shl",
            BinaryKind::Shr => "shr",
            _ => "binary",
        }
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let dtype = common_type(self.name(), inputs)?;
        let is_logical = matches!(self.0, BinaryKind::And | BinaryKind::Or | BinaryKind::Xor);
        if dtype.is_packed() || (dtype == BitNetDType::Bool && !is_logical) {
            bail!(
                UnsupportedOperation,
                self.name(),
                inputs,
                "not for {}: convert with to_dtype first",
                inputs[0].dtype()
            );
        }
        if dtype.is_float() && !self.0.is_for_floats() {
            bail!(DTypeMismatch, self.name(), inputs, "floats have no bits to combine");
        }
        if dtype.is_integer() && !self.0.is_for_integers() {
            let what = if self.0 == BinaryKind::Div { "true division takes" } else { "takes" };
            bail!(DTypeMismatch, self.name(), inputs, "{what} floats: convert with to_dtype first");
        }
        Ok(Some(smallvec![dtype, dtype]))
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let shape = broadcast_shape(self.name(), inputs)?;
        Ok(smallvec![TensorSpec::new(shape, inputs[0].dtype())])
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (a, b, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        if !dy.dtype().is_float() {
            return Ok(smallvec![None, None]);
        }
        let (da, db) = gradients(self.0, a, b, context.output(), dy)?;
        Ok(smallvec![
            Some(da.to_dtype(a.dtype())?.sum_to(a.shape())?),
            Some(db.to_dtype(b.dtype())?.sum_to(b.shape())?)
        ])
    }
}

/// The gradients of both operands, broadcast.
fn gradients(
    kind: BinaryKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
    y: &BitNetTensor,
    dy: &BitNetTensor,
) -> Result<(BitNetTensor, BitNetTensor)> {
    Ok(match kind {
        BinaryKind::Add => (dy.clone(), dy.clone()),
        BinaryKind::Sub => (dy.clone(), dy.neg()?),
        BinaryKind::Mul => (dy.mul(b)?, dy.mul(a)?),
        BinaryKind::Div => {
            let da = dy.div(b)?;
            let db = da.mul(y)?.neg()?;
            (da, db)
        }
        // Of equal elements each has half of the gradient, as in PyTorch.
        BinaryKind::Max | BinaryKind::Min => {
            let first = if kind == BinaryKind::Max { a.gt(b)? } else { a.lt(b)? };
            let (half, tie) = (dy.mul(0.5)?, a.eq(b)?);
            let zero = dy.scalar_like(0.0)?;
            let da = tie.where_(&half, first.where_(dy, &zero)?)?;
            let db = tie.where_(&half, first.where_(&zero, dy)?)?;
            (da, db)
        }
        // a = b ⌊a/b⌋ + rem: the quotient is flat wherever there is a derivative.
        BinaryKind::FloorDiv => (dy.mul(0.0)?, dy.mul(0.0)?),
        BinaryKind::Rem => (dy.clone(), dy.mul(a.floor_div(b)?)?.neg()?),
        BinaryKind::Fmod => (dy.clone(), dy.mul(a.div(b)?.trunc()?)?.neg()?),
        BinaryKind::Pow => {
            // b a^(b−1), also where a is 0; a^b ln a, whose limit at a = 0 < b is 0.
            let da = dy.mul(b)?.mul(a.pow(b.sub(1)?)?)?;
            let da = b.eq(0)?.where_(&dy.scalar_like(0.0)?, da)?;
            let db = dy.mul(y)?.mul(a.log()?)?;
            let vanishes = a.eq(0)?.bitand(b.ge(0)?)?;
            (da, vanishes.where_(&dy.scalar_like(0.0)?, db)?)
        }
        BinaryKind::Atan2 => {
            let scaled = dy.div(a.square()?.add(b.square()?)?)?;
            (scaled.mul(b)?, scaled.mul(a)?.neg()?)
        }
        BinaryKind::Hypot => {
            let scaled = dy.div(y)?;
            (scaled.mul(a)?, scaled.mul(b)?)
        }
        BinaryKind::Copysign => {
            let da = dy.mul(y.div(a)?)?;
            (a.eq(0.0)?.where_(&dy.scalar_like(0.0)?, da)?, dy.mul(0.0)?)
        }
        _ => (dy.scalar_like(0.0)?, dy.scalar_like(0.0)?),
    })
}

/// The type that two operands are converted to.
pub(super) fn common_type(name: &'static str, operands: &[&BitNetTensor]) -> Result<BitNetDType> {
    let (a, b) = (operands[0].dtype(), operands[1].dtype());
    match a.promote(b) {
        Some(dtype) => Ok(dtype),
        None => bail!(
            DTypeMismatch,
            name,
            operands,
            "{a} and {b} have no common type: convert one with to_dtype"
        ),
    }
}

/// The shape that two operands broadcast to.
pub(crate) fn broadcast_shape(
    name: &'static str,
    operands: &[&BitNetTensor],
) -> Result<TensorShape> {
    operands[0].shape().broadcast(operands[1].shape()).or_else(|(axis, left, right)| {
        bail!(
            BroadcastError,
            name,
            operands,
            "shapes do not broadcast: axis {axis} has sizes {left} and {right}"
        )
    })
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $method:ident, $owned:ident => $kind:ident, $a:literal, $b:literal, $t:ident $y:literal;)+) => {
        /// # Arithmetic
        ///
        /// Shapes broadcast as in NumPy; types promote by [`BitNetDType::promote`]; the other
        /// operand may be a number (see [`Operand`]). The `into_` forms reuse the storage when nobody
        /// shares it; so do the operators on a tensor that is given away, and `+=` and the like.
        ///
        /// Integers wrap around: of a result that the type does not hold the low bits remain, as in
        /// NumPy. So `I8` has 127 + 1 = −128, −(−128) = |−128| = −128 and −128 // −1 = −128; `U8` has
        /// 1 − 2 = 255; and 2 to the width of the type is 0. What has no result at all (a division
        /// by zero, for which NumPy warns and gives 0; a negative exponent or shift) is an error.
        impl BitNetTensor {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// use bitnet_tensor::BitNetTensor;
                #[doc = concat!("let a = BitNetTensor::try_from(vec!", $a, ")?;")]
                #[doc = concat!("let y = a.", stringify!($method), "(", $b, ")?;")]
                #[doc = concat!("assert_eq!(y.to_vec::<", stringify!($t), ">()?, ", $y, ");")]
                /// # Ok::<(), bitnet_tensor::TensorOpError>(())
                /// ```
                ///
                /// # Errors
                /// `BroadcastError`, `DTypeMismatch`, `DeviceMismatch`; `ComputationError` for an
                /// integer division by zero, a negative exponent of integers, a negative shift.
                pub fn $method(&self, other: impl Operand) -> Result<Self> {
                    let other = other.beside(stringify!($method), self)?;
                    apply_one(Binary(BinaryKind::$kind), &[self, &other])
                }

                #[doc = concat!("[`", stringify!($method), "`](Self::", stringify!($method), ") that reuses the storage of `self` when nobody shares it.")]
                ///
                /// # Errors
                #[doc = concat!("As [`", stringify!($method), "`](Self::", stringify!($method), ").")]
                pub fn $owned(self, other: impl Operand) -> Result<Self> {
                    let other = other.beside(stringify!($method), &self)?;
                    apply_reusing(Binary(BinaryKind::$kind), self, &[&other])
                }
            )+
        }
    };
}
binary_methods! {
    /// The sum.
    add, into_add => Add, "[1.0f32, 2.0]", "0.5", f32 "[1.5, 2.5]";
    /// The difference.
    sub, into_sub => Sub, "[1.0f32, 2.0]", "0.5", f32 "[0.5, 1.5]";
    /// The product.
    mul, into_mul => Mul, "[1.0f32, 2.0]", "0.5", f32 "[0.5, 1.0]";
    /// The quotient of floats.
    div, into_div => Div, "[1.0f32, 2.0]", "4", f32 "[0.25, 0.5]";
    /// The larger of the two; NaN when one is.
    maximum, into_maximum => Max, "[1.0f32, 2.0]", "1.5", f32 "[1.5, 2.0]";
    /// The smaller of the two; NaN when one is.
    minimum, into_minimum => Min, "[1.0f32, 2.0]", "1.5", f32 "[1.0, 1.5]";
    /// The quotient rounded down, as Python's `//`.
    floor_div, into_floor_div => FloorDiv, "[7i32, -7]", "2", i32 "[3, -4]";
    /// The remainder with the sign of the divisor, as Python's `%` and NumPy's `remainder`.
    rem, into_rem => Rem, "[7i32, -7]", "3", i32 "[1, 2]";
    /// The remainder with the sign of the dividend, as C's and NumPy's `fmod`.
    fmod, into_fmod => Fmod, "[7i32, -7]", "3", i32 "[1, -1]";
    /// The power; of integers with exponents that are not negative.
    pow, into_pow => Pow, "[2.0f32, 3.0]", "2", f32 "[4.0, 9.0]";
    /// The angle of the point (`other`, this) in (−π, π].
    atan2, into_atan2 => Atan2, "[0.0f32, 0.0]", "1.0", f32 "[0.0, 0.0]";
    /// `√(a² + b²)` without overflow.
    hypot, into_hypot => Hypot, "[3.0f32, 6.0]", "4.0", f32 "[5.0, 52.0f32.sqrt()]";
    /// These magnitudes with the signs of `other`.
    copysign, into_copysign => Copysign, "[3.0f32, -6.0]", "-1.0", f32 "[-3.0, -6.0]";
    /// The bits that both integers have; of `Bool`: both.
    bitand, into_bitand => And, "[0b1100u8, 0b1010]", "0b0110", u8 "[0b0100, 0b0010]";
    /// The bits that one of the integers has; of `Bool`: either.
    bitor, into_bitor => Or, "[0b1100u8, 0b1010]", "0b0110", u8 "[0b1110, 0b1110]";
    /// The bits that exactly one of the integers has; of `Bool`: exactly one.
    bitxor, into_bitxor => Xor, "[0b1100u8, 0b1010]", "0b0110", u8 "[0b1010, 0b1100]";
    /// Shifted left: `a · 2ᵇ`, wrapping; 0 from the width of the type on.
    shl, into_shl => Shl, "[1u8, 3]", "7", u8 "[128, 128]";
    /// Shifted right: `⌊a / 2ᵇ⌋`, so that the sign stays.
    shr, into_shr => Shr, "[64i8, -64]", "3", i8 "[8, -8]";
}
