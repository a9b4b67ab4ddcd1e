//! Products of matrices and what is made of them.

use bitnet_tensor::{BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("Det", |n| one(n.x(0).det())),
    ("Einsum", |n| one(BitNetTensor::einsum(n.text("equation", ""), &n.all()))),
    ("Gemm", |n| one(gemm(n))),
    ("MatMul", |n| one(n.x(0).matmul(n.x(1)))),
];

/// `alpha · a · b + beta · c`, either factor transposed.
fn gemm(case: &Case) -> Result<BitNetTensor> {
    let factor = |n: usize, name: &str| {
        let x = case.x(n);
        if case.flag(name, false) { x.transpose(0, 1) } else { Ok(x.clone()) }
    };
    let product = factor(0, "transA")?.matmul(&factor(1, "transB")?)?;
    let product = product.mul(case.float("alpha", 1.0))?;
    match case.given(2) {
        Some(c) => product.add(&c.mul(case.float("beta", 1.0))?),
        None => Ok(product),
    }
}
