//! The places of the largest and the smallest along an axis.

use bitnet_kernels::{Cpu, reduce as kernels};

use super::extreme::{Best, Place};
use super::fold::fold;
use super::plan::Plan;
use super::reduce::fill_rows;
use super::source::{Reading, floats, integers, readable};
use crate::error::Result;
use crate::ops::ArgExtreme;
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn arg_extreme(
    cpu: Cpu,
    op: &ArgExtreme,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let x = &readable(x)?;
    let plan = Plan::new(x.layout(), &[op.axis]);
    let out = out.try_mut::<i64>()?;
    if out.is_empty() {
        return Ok(());
    }
    if x.dtype() == BitNetDType::F32
        && let Some(start) = plan.rows()
    {
        let (data, columns) = (x.host_data::<f32>()?, plan.reduced.count);
        let kernel = if op.largest { kernels::argmax } else { kernels::argmin };
        fill_rows(out, columns, |row| kernel(cpu, &data[start(row)..][..columns]) as i64);
        return Ok(());
    }
    if x.dtype().is_float() {
        write(&fold(&plan, &*floats(x)?, &Place::new(op.largest)), out);
    } else {
        write(&fold(&plan, &*integers(x, Reading::Order)?, &Place::new(op.largest)), out);
    }
    Ok(())
}

fn write<W>(best: &[Best<W>], out: &mut [i64]) {
    for (out, best) in out.iter_mut().zip(best) {
        *out = best.place as i64;
    }
}
