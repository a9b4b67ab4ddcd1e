//! Functions of one and of two elements.

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;
use bitnet_testkit::conformance::UNARY;

use crate::check::{check, positive};

/// Every function, on both sides of zero where it is defined there, and away from its kinks.
#[test]
fn functions_of_one_element() -> Result<()> {
    let mut random = Random::new(52);
    for (kind, method, _) in UNARY {
        let name = format!("{kind:?}");
        for dtype in [F64, F32] {
            let x = positive(&mut random, dtype, &[3, 4])?;
            // (0.5, 1.5) becomes what the function is defined and smooth on.
            let (inside, below) = match name.as_str() {
                "Acosh" => (x.add(1.0)?, None),
                "Asin" | "Acos" | "Atanh" | "Tan" => (x.mul(0.5)?, Some(x.mul(-0.5)?)),
                "Log" | "Log2" | "Log10" | "Sqrt" | "Rsqrt" => (x, None),
                "Log1p" => (x.clone(), Some(x.mul(-0.5)?)),
                "Floor" | "Ceil" | "Trunc" | "Round" => (x.mul(0.2)?.add(0.1)?, None),
                "HardTanh" => (x.mul(0.6)?, Some(x.mul(-0.6)?)),
                _ => (x.clone(), Some(x.neg()?)),
            };
            check(&name, &[inside], &move |x| method(&x[0]))?;
            if let Some(below) = below {
                check(&name, &[below], &move |x| method(&x[0]))?;
            }
        }
    }
    Ok(())
}
