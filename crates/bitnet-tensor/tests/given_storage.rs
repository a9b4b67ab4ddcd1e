//! Results written into tensors that the caller keeps: the same bits, in the same place when they
//! fit, and never where somebody else looks.

use bitnet_tensor::backend::AccelerationMetrics;
use bitnet_tensor::ops::{GateKind, RopeMode};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, QuantizedActivation, Result};
use bitnet_testkit::{Random, Tolerance, compare::compare};

fn place(x: &BitNetTensor) -> *const f32 {
    x.as_slice::<f32>().map_or(std::ptr::null(), <[f32]>::as_ptr)
}

fn check(
    name: &str,
    fresh: impl Fn() -> Result<BitNetTensor>,
    into: impl Fn(&mut BitNetTensor) -> Result<()>,
) -> Result<()> {
    let want = fresh()?;
    let same = |got: &BitNetTensor| {
        compare(got, &want, Tolerance::EXACT).unwrap_or_else(|why| panic!("{name}: {why}"));
    };
    // A tensor of another shape is replaced, one that fits is written over.
    let mut out = BitNetTensor::empty([0], BitNetDType::F32, Device::CPU)?;
    into(&mut out)?;
    same(&out);
    let kept = place(&out);
    out.try_mut::<f32>()?.fill(f32::NAN);
    into(&mut out)?;
    same(&out);
    assert_eq!(place(&out), kept, "{name}");
    // What somebody else sees stays as it is.
    let seen = out.clone();
    out = BitNetTensor::full(out.shape().clone(), 7.0f32)?;
    let view = out.clone();
    into(&mut out)?;
    same(&out);
    same(&seen);
    assert!(view.to_vec::<f32>()?.iter().all(|&x| x == 7.0), "{name}");
    Ok(())
}

#[test]
fn every_form_gives_the_same_bits_in_the_same_place() -> Result<()> {
    let mut random = Random::new(80);
    let x = random.floats(&[1, 3, 8])?;
    let (weight, norm) = (random.floats(&[5, 8])?, random.floats(&[8])?);
    let ternary = BitNetTensor::prepare_weight(&[&weight.ternarize()?])?;
    check("linear", || x.linear(&weight), |out| x.linear_out(&weight, out))?;
    check("ternary linear", || x.linear(&ternary), |out| x.linear_out(&ternary, out))?;
    check("rms_norm", || x.rms_norm(&norm, 1e-5), |out| x.rms_norm_out(&norm, 1e-5, out))?;
    let up = random.floats(&[1, 3, 8])?;
    let kind = GateKind::Silu;
    check("gate", || x.gate(kind, &up), |out| x.gate_out(kind, &up, out))?;
    let heads = random.floats(&[1, 3, 2, 8])?;
    let tables = [random.floats(&[4, 4])?, random.floats(&[4, 4])?];
    let positions = BitNetTensor::from_vec(vec![0u32, 1, 2], [1, 3])?;
    let mode = RopeMode::RotateHalf;
    check(
        "rope",
        || heads.rope(&tables[0], &tables[1], &positions, mode),
        |out| heads.rope_out(&tables[0], &tables[1], &positions, mode, out),
    )?;
    let (keys, values) = (random.floats(&[1, 4, 1, 8])?, random.floats(&[1, 4, 1, 8])?);
    check(
        "attention",
        || heads.attention(&keys, &values, &positions, 0.3),
        |out| heads.attention_out(&keys, &values, &positions, 0.3, out),
    )
}

#[test]
fn a_kept_activation_takes_no_storage_again() -> Result<()> {
    let mut random = Random::new(81);
    let (x, norm) = (random.floats(&[2, 8])?, random.floats(&[8])?);
    let mut kept = QuantizedActivation::empty(Device::CPU)?;
    x.rms_norm_quantize_out(&norm, 1e-5, &mut kept)?;
    let fresh = x.rms_norm_quantize(&norm, 1e-5)?;
    assert_eq!(kept.codes().to_vec::<i8>()?, fresh.codes().to_vec::<i8>()?);
    assert_eq!(kept.features(), 8);
    // Other tests of this process count too: the least of several attempts is this one's own.
    let allocations = (0..20).map(|_| {
        let before = AccelerationMetrics::snapshot();
        x.quantize_activation_out(&mut kept).expect("computed");
        AccelerationMetrics::snapshot().since(&before).allocations
    });
    assert_eq!(allocations.min(), Some(0));
    let fresh = x.quantize_activation()?;
    assert_eq!(kept.scales().to_vec::<f32>()?, fresh.scales().to_vec::<f32>()?);
    Ok(())
}

#[test]
fn what_is_recorded_or_wrong_is_not_written_over() -> Result<()> {
    let mut random = Random::new(82);
    let (x, weight) = (random.floats(&[2, 4])?.with_grad(), random.floats(&[3, 4])?);
    let mut out = BitNetTensor::full([2, 3], 7.0f32)?;
    x.linear_out(&weight, &mut out)?;
    assert!(out.sum(&[], false)?.backward()?.get(&x).is_some());
    let mut out = BitNetTensor::full([2, 3], 7.0f32)?;
    let error = x.linear_out(&random.floats(&[3, 5])?, &mut out).unwrap_err();
    assert_eq!(error.context().operation, "linear");
    assert_eq!(out.to_vec::<f32>()?, [7.0; 6]);
    Ok(())
}
