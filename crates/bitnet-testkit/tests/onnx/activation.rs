//! Activations.

use bitnet_tensor::{BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("Celu", |n| one(n.x(0).celu(n.float("alpha", 1.0)))),
    ("Elu", |n| one(n.x(0).elu(n.float("alpha", 1.0)))),
    ("Gelu", |n| match n.text("approximate", "none") {
        "tanh" => one(n.x(0).gelu_tanh()),
        _ => one(n.x(0).gelu()),
    }),
    ("HardSigmoid", |n| {
        let line = n.x(0).mul(n.float("alpha", 0.2))?.add(n.float("beta", 0.5))?;
        one(line.clamp(0.0, 1.0))
    }),
    ("HardSwish", |n| one(n.x(0).hard_swish())),
    ("Hardmax", |n| one(hardmax(n))),
    ("LeakyRelu", |n| one(n.x(0).leaky_relu(n.float("alpha", 0.01)))),
    ("LogSoftmax", |n| one(n.x(0).log_softmax(n.integer("axis", -1)))),
    ("Mish", |n| one(n.x(0).mish())),
    ("PRelu", |n| {
        let x = n.x(0);
        one(x.lt(0)?.where_(&x.mul(n.x(1))?, x))
    }),
    ("Relu", |n| one(n.x(0).relu())),
    ("Selu", |n| match n.has("alpha") || n.has("gamma") {
        true => {
            let bent = n.x(0).elu(n.float("alpha", 1.673_263_192_176_818_8))?;
            one(bent.mul(n.float("gamma", 1.050_701_022_148_132_3)))
        }
        false => one(n.x(0).selu()),
    }),
    ("Shrink", |n| one(shrink(n))),
    ("Sigmoid", |n| one(n.x(0).sigmoid())),
    ("Softmax", |n| one(n.x(0).softmax(n.integer("axis", -1)))),
    ("Softplus", |n| one(n.x(0).softplus())),
    ("Softsign", |n| one(n.x(0).softsign())),
    ("SwiGLU", |n| {
        let (a, b) = (n.x(0), n.x(1));
        one(swish(a, n.float("alpha", 1.0))?.mul(b))
    }),
    ("Swish", |n| one(swish(n.x(0), n.float("alpha", 1.0)))),
    ("Tanh", |n| one(n.x(0).tanh())),
    ("ThresholdedRelu", |n| {
        let x = n.x(0);
        one(x.gt(n.float("alpha", 1.0))?.where_(x, 0))
    }),
];

fn swish(x: &BitNetTensor, alpha: f64) -> Result<BitNetTensor> {
    x.mul(&x.mul(alpha)?.sigmoid()?)
}

fn hardmax(case: &Case) -> Result<BitNetTensor> {
    let (x, axis) = (case.x(0), case.integer("axis", -1));
    let largest = x.argmax(axis, true)?;
    let ones = BitNetTensor::ones(largest.shape().clone(), x.dtype())?;
    x.zeros_like()?.scatter(axis, &largest, &ones)
}

fn shrink(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let (lambda, bias) = (case.float("lambd", 0.5), case.float("bias", 0.0));
    let inner = x.gt(lambda)?.where_(&x.sub(bias)?, 0)?;
    x.lt(-lambda)?.where_(&x.add(bias)?, &inner)
}
