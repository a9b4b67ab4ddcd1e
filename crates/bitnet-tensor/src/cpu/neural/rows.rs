//! Softmax and normalisation along the last axis.

use bitnet_kernels::{Cpu, reduce as kernels};

use crate::BitNetTensor;
use crate::error::Result;

pub(in crate::cpu) fn softmax(cpu: Cpu, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let x = x.contiguous()?;
    let columns = x.shape().last().copied().unwrap_or(1);
    if out.element_count() > 0 {
        kernels::softmax_rows(cpu, x.as_slice()?, columns, out.try_mut()?);
    }
    Ok(())
}

pub(in crate::cpu) fn layer_norm(
    cpu: Cpu,
    x: &BitNetTensor,
    [weight, bias]: [&BitNetTensor; 2],
    eps: f64,
    out: &mut BitNetTensor,
) -> Result<()> {
    let (x, weight, bias) = (x.contiguous()?, weight.contiguous()?, bias.contiguous()?);
    if out.element_count() > 0 {
        let parameters = [weight.as_slice()?, bias.as_slice()?];
        let columns = weight.element_count();
        kernels::layer_norm_rows(cpu, x.as_slice()?, columns, parameters, eps, out.try_mut()?);
    }
    Ok(())
}

pub(in crate::cpu) fn rms_norm(
    cpu: Cpu,
    x: &BitNetTensor,
    weight: &BitNetTensor,
    eps: f32,
    out: &mut BitNetTensor,
) -> Result<()> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let columns = weight.element_count();
    if out.element_count() > 0 {
        kernels::rms_norm_rows(
            cpu,
            x.as_slice()?,
            columns,
            weight.as_slice()?,
            eps,
            out.try_mut()?,
        );
    }
    Ok(())
}
