//! The reference as a backend: reads operands as `f64`, asks `semantics`, writes the results.

use super::semantics::{self, Array};
use crate::backend::{Backend, DeviceMemory, HostMemory, OpDesc};
use crate::dtype::with_number_type;
use crate::error::{Result, bail};
use crate::layout::Layout;
use crate::ops::Op;
use crate::{BitNetDType, BitNetTensor, Device};

/// Computes every operation by its definition. Its device is `reference:0`.
#[derive(Debug)]
pub struct ReferenceBackend {
    memory: HostMemory,
}

impl ReferenceBackend {
    /// The device that it is registered for.
    pub const DEVICE: Device = Device::new("reference", 0);

    /// The reference, computing in the process's pool.
    pub fn new() -> Self {
        Self { memory: HostMemory::of(Device::CPU) }
    }
}

impl Default for ReferenceBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for ReferenceBackend {
    fn device(&self) -> Device {
        Self::DEVICE
    }

    fn memory(&self) -> &dyn DeviceMemory {
        &self.memory
    }

    fn supports(&self, _desc: &OpDesc<'_>) -> bool {
        true
    }

    fn execute(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<()> {
        let arrays: Vec<Array> = inputs.iter().map(|input| read(input)).collect::<Result<_>>()?;
        let results = semantics::evaluate(op, &arrays).map_err(|reason| {
            crate::error::error!(ComputationError, op.name(), inputs, "{reason}")
        })?;
        for (output, values) in outputs.iter_mut().zip(results) {
            write(output, &values)?;
        }
        Ok(())
    }

    fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()> {
        let mut arrays = vec![read(target)?];
        for other in others {
            arrays.push(read(other)?);
        }
        let results = semantics::evaluate(op, &arrays).map_err(|reason| {
            crate::error::error!(ComputationError, op.name(), others, "{reason}")
        })?;
        match results.first() {
            Some(values) => write(target, values),
            None => Ok(()),
        }
    }

    fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor> {
        // Any layout can be read; one part stays as it is.
        match parts {
            [weight] => Ok((*weight).clone()),
            _ => bail!(
                UnsupportedOperation,
                "prepare_weight",
                parts,
                "the reference joins no weights"
            ),
        }
    }
}

/// Where element `n` of the row-major order lies, by the definition of a layout.
fn position(layout: &Layout, n: usize) -> usize {
    let mut rest = n;
    let mut position = layout.offset() as isize;
    for axis in (0..layout.shape().rank()).rev() {
        position += (rest % layout.shape()[axis]) as isize * layout.strides()[axis];
        rest /= layout.shape()[axis];
    }
    position as usize
}

/// The elements in logical order.
fn read(tensor: &BitNetTensor) -> Result<Array> {
    if let Some((_, codes, scales)) = tensor.packed_parts() {
        // Codes with their scales, read through the host: layouts are the kernels' business.
        debug_assert_eq!(codes.device(), scales.device());
        let host = tensor.to_device(Device::CPU)?;
        let values = host.to_dtype(BitNetDType::F32)?.to_f64_vec()?;
        return Ok(Array { shape: tensor.shape().to_vec(), dtype: tensor.dtype(), values });
    }
    if tensor.dtype().is_packed() {
        let host = tensor.to_device(Device::CPU)?;
        let values = host.to_dtype(BitNetDType::F32)?.to_f64_vec()?;
        return Ok(Array { shape: tensor.shape().to_vec(), dtype: tensor.dtype(), values });
    }
    let layout = tensor.layout();
    let positions = (0..tensor.element_count()).map(|n| position(layout, n));
    let values = with_number_type!(tensor.dtype(), T => {
        let data = tensor.host_data::<T>()?;
        positions.map(|position| crate::dtype::Number::to_f64(data[position])).collect()
    }, {
        let data = tensor.host_data::<bool>()?;
        positions.map(|position| f64::from(u8::from(data[position]))).collect()
    });
    Ok(Array { shape: tensor.shape().to_vec(), dtype: tensor.dtype(), values })
}

fn write(tensor: &mut BitNetTensor, values: &[f64]) -> Result<()> {
    let layout = tensor.layout().clone();
    if tensor.dtype() == BitNetDType::Bool {
        tensor.reinterpret(BitNetDType::U8);
        let data = tensor.host_data_mut::<u8>()?;
        for (n, &value) in values.iter().enumerate() {
            data[position(&layout, n)] = u8::from(value != 0.0);
        }
        tensor.reinterpret(BitNetDType::Bool);
        return Ok(());
    }
    with_number_type!(tensor.dtype(), T => {
        let data = tensor.host_data_mut::<T>()?;
        for (n, &value) in values.iter().enumerate() {
            data[position(&layout, n)] = crate::dtype::Number::from_f64(value);
        }
        Ok(())
    }, bail!(InternalError, "write", &[], "not a dense type"))
}
