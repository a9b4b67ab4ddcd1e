//! Convolutions and poolings over any number of spatial axes.

use bitnet_tensor::BitNetTensor;

use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("GlobalAveragePool", |n| one(n.x(0).mean(&spatial_axes(n.x(0)), true))),
    ("GlobalMaxPool", |n| one(n.x(0).max(&spatial_axes(n.x(0)), true))),
];

fn spatial_axes(x: &BitNetTensor) -> Vec<isize> {
    (2..x.rank() as isize).collect()
}
