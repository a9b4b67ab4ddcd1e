//! Operations on a device that only enqueues: nothing waits, missing fused operations are
//! executed as their parts on the device itself, and what is missing altogether goes to the CPU,
//! visibly. The tests of this file change settings and read counters of the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bitnet_tensor::backend::{AccelerationMetrics, Backend, FallbackPolicy, set_fallback_policy};
use bitnet_tensor::ops::{GateKind, RopeMode};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result, TensorOpError};
use bitnet_testkit::compare::compare;
use bitnet_testkit::conformance::{Family, run_family};
use bitnet_testkit::{MockDevice, Random, Tolerance};

/// One test at a time: metrics and the policy belong to the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counted<T>(body: impl FnOnce() -> Result<T>) -> Result<(T, AccelerationMetrics)> {
    let before = AccelerationMetrics::snapshot();
    let result = body()?;
    Ok((result, AccelerationMetrics::snapshot().since(&before)))
}

fn assert_same(on_mock: &BitNetTensor, on_cpu: &BitNetTensor) {
    if let Err(difference) = compare(on_mock, on_cpu, Tolerance::EXACT) {
        panic!("{on_cpu:?}: {difference}");
    }
}

/// An attention block and a feed-forward block from tensors alone.
struct Layer {
    norm: BitNetTensor,
    qkv: BitNetTensor,
    gate_up: BitNetTensor,
    down: BitNetTensor,
    cos: BitNetTensor,
    sin: BitNetTensor,
    keys: BitNetTensor,
    values: BitNetTensor,
}

const HIDDEN: usize = 32;
const WIDTH: usize = 48;
const HEAD: usize = 8;

impl Layer {
    fn new(device: Device) -> Result<Self> {
        let mut random = Random::new(60);
        let mut weight = |rows, columns| {
            let dense: BitNetTensor = random.floats(&[rows, columns])?;
            BitNetTensor::prepare_weight(&[&dense.ternarize()?.to_device(device)?])
        };
        let (qkv, gate_up, down) =
            (weight(64, HIDDEN)?, weight(2 * WIDTH, HIDDEN)?, weight(HIDDEN, WIDTH)?);
        let floats = |random: &mut Random, shape: &[usize]| random.floats(shape)?.to_device(device);
        let cache = || {
            // The tokens of a head follow each other; unwritten places are never read.
            BitNetTensor::empty([1, 2, 10, HEAD], BitNetDType::F32, device)?.permute(&[0, 2, 1, 3])
        };
        Ok(Self {
            norm: floats(&mut random, &[HIDDEN])?,
            cos: floats(&mut random, &[10, HEAD / 2])?,
            sin: floats(&mut random, &[10, HEAD / 2])?,
            qkv,
            gate_up,
            down,
            keys: cache()?,
            values: cache()?,
        })
    }

    fn forward(&mut self, x: BitNetTensor, positions: &BitNetTensor) -> Result<BitNetTensor> {
        let tokens = x.shape()[1];
        let qkv = x.rms_norm_quantize(&self.norm, 1e-5)?.linear(&self.qkv)?;
        let heads = qkv.reshape([1, tokens, 8, HEAD])?;
        let rope = |x: BitNetTensor| x.rope(&self.cos, &self.sin, positions, RopeMode::RotateHalf);
        let (q, k) = (rope(heads.narrow(2, 0, 4)?)?, rope(heads.narrow(2, 4, 2)?)?);
        self.keys.write_rows(positions, &k)?;
        self.values.write_rows(positions, &heads.narrow(2, 6, 2)?)?;
        let attended = q.attention(&self.keys, &self.values, positions, 0.35)?;
        let x = attended.reshape([1, tokens, HIDDEN])?.into_add(&x)?;
        let gate_up = x.rms_norm_quantize(&self.norm, 1e-5)?.linear(&self.gate_up)?;
        let (gate, up) = (gate_up.narrow(-1, 0, WIDTH)?, gate_up.narrow(-1, WIDTH, WIDTH)?);
        gate.gate(GateKind::ReluSquared, &up)?.linear(&self.down)?.into_add(&x)
    }

    /// The outputs of a prompt of three tokens and of two tokens after it.
    fn run(&mut self, device: Device, mock: Option<&MockDevice>) -> Result<Vec<BitNetTensor>> {
        let mut random = Random::new(61);
        let mut outputs = Vec::new();
        for (start, tokens) in [(0u32, 3u32), (3, 1), (4, 1)] {
            let x = random.floats(&[1, tokens as usize, HIDDEN])?.to_device(device)?;
            let positions =
                BitNetTensor::arange(start..start + tokens)?.reshape([1, tokens as usize])?;
            let positions = positions.to_device(device)?;
            let guard = mock.map(MockDevice::forbid_reads);
            outputs.push(self.forward(x, &positions)?);
            drop(guard);
        }
        Ok(outputs)
    }
}

fn compare_layer(mock: &MockDevice) -> Result<AccelerationMetrics> {
    let expected = Layer::new(Device::CPU)?.run(Device::CPU, None)?;
    let mut layer = Layer::new(mock.device())?;
    let (read_backs, enqueued) = (mock.read_backs(), mock.enqueued());
    let (outputs, spent) = counted(|| layer.run(mock.device(), Some(mock)))?;
    assert_eq!(mock.read_backs(), read_backs, "the layer read the device");
    assert_eq!(
        mock.pending(),
        mock.enqueued() - enqueued,
        "something was executed before it was asked for"
    );
    assert_eq!(spent.fallbacks, 0);
    for (got, want) in outputs.iter().zip(&expected) {
        assert_same(got, want);
    }
    assert_eq!(mock.pending(), 0);
    Ok(spent)
}

#[test]
fn a_layer_runs_without_reading_back() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(1)?;
    let spent = compare_layer(&mock)?;
    assert_eq!((spent.decompositions, spent.copied_bytes), (0, 0));
    Ok(())
}

#[test]
fn missing_fused_operations_run_as_their_parts_on_the_device() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(2)?;
    mock.lack(&["rms_norm_quantize", "gate"]);
    let spent = compare_layer(&mock)?;
    // Two norms and one gate in each of three passes.
    assert_eq!(spent.decompositions, 9);
    Ok(())
}

#[test]
fn a_missing_norm_runs_as_arithmetic_on_the_device() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(3)?;
    mock.lack(&["rms_norm_quantize", "rms_norm"]);
    let mut random = Random::new(62);
    let (x, weight) = (random.floats(&[3, 17])?, random.floats(&[17])?);
    let (on_mock, on_weight) = (x.to_device(mock.device())?, weight.to_device(mock.device())?);
    let guard = mock.forbid_reads();
    let (y, spent) = counted(|| on_mock.rms_norm(&on_weight, 1e-5))?;
    let (q, nested) = counted(|| on_mock.rms_norm_quantize(&on_weight, 1e-5))?;
    drop(guard);
    assert_eq!((spent.decompositions, spent.fallbacks), (1, 0));
    assert_eq!((nested.decompositions, nested.fallbacks), (2, 0));
    compare(&y, &x.rms_norm(&weight, 1e-5)?, Tolerance::NORM).expect("close to the fused norm");
    assert_same(q.codes(), y.quantize_activation()?.codes());
    Ok(())
}

#[test]
fn a_missing_operation_is_executed_on_the_cpu_and_counted() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(4)?;
    mock.lack(&["softmax"]);
    let x = Random::new(63).floats(&[3, 17])?;
    let on_mock = x.to_device(mock.device())?;
    for policy in [FallbackPolicy::Warn, FallbackPolicy::Silent] {
        set_fallback_policy(policy);
        let (y, spent) = counted(|| on_mock.neg()?.softmax(-1))?;
        assert_eq!(spent.fallbacks, 1);
        assert_eq!(y.device(), mock.device());
        assert_same(&y, &x.neg()?.softmax(-1)?);
    }
    set_fallback_policy(FallbackPolicy::Error);
    let result = on_mock.softmax(-1);
    set_fallback_policy(FallbackPolicy::default());
    let error = result.unwrap_err();
    assert!(matches!(error, TensorOpError::UnsupportedOperation(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "softmax(f32[3, 17]@mock:4): no backend implements this for these operands"
    );
    Ok(())
}

#[test]
fn operators_that_own_their_operand_enqueue_too() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(5)?;
    let mut random = Random::new(64);
    let (a, b) = (random.floats(&[4, 5])?, random.floats(&[5])?);
    let (on_a, on_b) = (a.to_device(mock.device())?, b.to_device(mock.device())?);
    let shared = on_a.clone();
    let guard = mock.forbid_reads();
    let sum = ((on_a + &on_b) * &on_b).into_neg()?; // the first shares its storage, the others do not
    drop(guard);
    assert_eq!(mock.pending(), 3);
    assert_same(&sum, &a.add(&b)?.mul(&b)?.neg()?);
    assert_same(&shared, &a);
    Ok(())
}

#[test]
fn writes_in_place_refuse_shared_memory_of_a_device() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(6)?;
    let mut target = BitNetTensor::zeros([1, 2, 3], BitNetDType::F32)?.to_device(mock.device())?;
    let positions = BitNetTensor::from_vec(vec![1u32], [1, 1])?.to_device(mock.device())?;
    let rows = BitNetTensor::full([1, 1, 3], 2.0f32)?.to_device(mock.device())?;
    let shared = target.clone();
    let error = target.write_rows(&positions, &rows).unwrap_err();
    assert!(matches!(error, TensorOpError::InvalidTensor(_)), "{error}");
    drop(shared);
    target.write_rows(&positions, &rows)?;
    assert_eq!(target.to_vec::<f32>()?, [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]);
    Ok(())
}

#[test]
fn waiting_reports_what_enqueued_work_failed_with() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(7)?;
    let table = Random::new(65).floats(&[3, 2])?.to_device(mock.device())?;
    let outside = BitNetTensor::from_vec(vec![3u32], [1])?.to_device(mock.device())?;
    let _rows = table.index_select(0, &outside)?;
    assert!(matches!(mock.synchronize(), Err(TensorOpError::ComputationError(_))));
    Ok(())
}

/// The whole suite through the queue: the interface of backends is enough for a device whose
/// memory the host cannot see.
#[test]
fn the_mock_conforms() {
    let _alone = alone();
    let mock = MockDevice::register(8).expect("registered");
    for family in [Family::Movement, Family::Reduction, Family::Linalg, Family::Neural] {
        assert_eq!(run_family(family, mock.device()).fallbacks, 0);
    }
}
