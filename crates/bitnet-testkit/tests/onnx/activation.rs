//! Activations.

use bitnet_tensor::{BitNetTensor, Result};

use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("PRelu", |n| {
        let x = n.x(0);
        one(x.lt(0)?.where_(&x.mul(n.x(1))?, x))
    }),
    ("Relu", |n| one(n.x(0).relu())),
    ("Sigmoid", |n| one(n.x(0).sigmoid())),
    ("SwiGLU", |n| {
        let (a, b) = (n.x(0), n.x(1));
        one(swish(a, n.float("alpha", 1.0))?.mul(b))
    }),
    ("Swish", |n| one(swish(n.x(0), n.float("alpha", 1.0)))),
    ("Tanh", |n| one(n.x(0).tanh())),
];

fn swish(x: &BitNetTensor, alpha: f64) -> Result<BitNetTensor> {
    x.mul(&x.mul(alpha)?.sigmoid()?)
}
