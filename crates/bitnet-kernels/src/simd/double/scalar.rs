//! The portable tier of the `f64` lanes.

use super::{Double, EXPONENT_SHIFT};
use crate::simd::{Float, LANES, Scalar};

/// Applies a function of one or two numbers lane by lane.
macro_rules! lanewise {
    ($($name:ident($a:ident $(, $b:ident)?) = $value:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, a: Self::F64 $(, $b: Self::F64)?) -> Self::F64 {
            std::array::from_fn(|i| {
                let $a = a[i];
                $(let $b = $b[i];)?
                $value
            })
        }
    )*};
}

impl Double for Scalar {
    type F64 = [f64; LANES];

    lanewise! {
        add64(a, b) = a + b;
        sub64(a, b) = a - b;
        mul64(a, b) = a * b;
        div64(a, b) = a / b;
        max64(a, b) = if a > b { a } else { b };
        min64(a, b) = if a < b { a } else { b };
        pow2_64(n) = f64::from_bits((n + EXPONENT_SHIFT).to_bits() << 52);
    }

    #[inline(always)]
    fn splat64(self, x: f64) -> Self::F64 {
        [x; LANES]
    }

    #[inline(always)]
    fn widen(self, x: Self::F32) -> Self::F64 {
        x.map(f64::from)
    }

    #[inline(always)]
    fn narrow(self, x: Self::F64) -> Self::F32 {
        x.map(|x| x as f32)
    }

    #[inline(always)]
    fn select64(self, mask: <Self as Float>::Mask, a: Self::F64, b: Self::F64) -> Self::F64 {
        std::array::from_fn(|i| if mask[i] { a[i] } else { b[i] })
    }
}
