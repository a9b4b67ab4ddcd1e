//! A layer of the model that the program ships with, on a device that only enqueues: the forward
//! pass reads nothing back, and the results are the CPU's bit for bit.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitnet_llm::model::{Activations, LayerCache, LogitsOf};
use bitnet_llm::{LoadOptions, Model};
use bitnet_tensor::backend::AccelerationMetrics;
use bitnet_tensor::{BitNetTensor, Device};
use bitnet_testkit::compare::compare;
use bitnet_testkit::{MockDevice, Random, Tolerance};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn model(device: Device) -> Result<std::sync::Arc<Model>, bitnet_llm::LlmError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    Model::load(&path, &LoadOptions { device, context: Some(32), ..LoadOptions::default() })
}

/// One test at a time: metrics belong to the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The passes of a prompt of four tokens and of two tokens after it: first positions and lengths.
const PASSES: [(u32, usize); 3] = [(0, 4), (4, 1), (5, 1)];

fn positions(start: u32, tokens: usize, device: Device) -> bitnet_tensor::Result<BitNetTensor> {
    BitNetTensor::arange(start..start + tokens as u32)?.reshape([1, tokens])?.to_device(device)
}

fn layer_outputs(
    model: &Model,
    device: Device,
    mock: Option<&MockDevice>,
) -> bitnet_tensor::Result<Vec<BitNetTensor>> {
    let config = model.config();
    let shape = [1, 8, config.num_key_value_heads, config.head_dim];
    let mut cache = LayerCache::new(shape, device)?;
    let mut activations = Activations::new(device)?;
    let (layer, rotary) = (&model.decoder().layers()[0], model.decoder().rotary());
    let mut random = Random::new(70);
    let mut outputs = Vec::new();
    for (start, tokens) in PASSES {
        let x = random.floats(&[1, tokens, config.hidden_size])?.to_device(device)?;
        let positions = positions(start, tokens, device)?;
        let guard = mock.map(MockDevice::forbid_reads);
        outputs.push(layer.forward(x, &positions, rotary, &mut cache, &mut activations)?);
        drop(guard);
    }
    Ok(outputs)
}

fn assert_same(on_mock: &[BitNetTensor], on_cpu: &[BitNetTensor]) {
    assert_eq!(on_mock.len(), on_cpu.len());
    for (n, (got, want)) in on_mock.iter().zip(on_cpu).enumerate() {
        if let Err(difference) = compare(got, want, Tolerance::EXACT) {
            panic!("pass {n}: {difference}");
        }
    }
}

#[test]
fn a_layer_and_a_model_read_nothing_back() -> Outcome {
    let _alone = alone();
    let mock = MockDevice::register(0)?;
    let (on_cpu, on_mock) = (model(Device::CPU)?, model(mock.device())?);

    let expected = layer_outputs(&on_cpu, Device::CPU, None)?;
    let (read_backs, before) = (mock.read_backs(), AccelerationMetrics::snapshot());
    let outputs = layer_outputs(&on_mock, mock.device(), Some(&mock))?;
    let spent = AccelerationMetrics::snapshot().since(&before);
    assert_eq!(mock.read_backs(), read_backs);
    assert_eq!((spent.fallbacks, spent.decompositions, spent.copied_bytes), (0, 0, 0));
    assert_same(&outputs, &expected);

    // From token ids to logits, through all layers.
    let logits = |model: &Model, device: Device, mock: Option<&MockDevice>| {
        let mut cache = model.new_cache(1, 8)?;
        let mut activations = Activations::new(device)?;
        let mut random = Random::new(71);
        let mut outputs = Vec::new();
        for (start, tokens) in PASSES {
            let ids = random.indices(model.config().vocab_size, &[1, tokens])?.to_device(device)?;
            let positions = positions(start, tokens, device)?;
            let guard = mock.map(MockDevice::forbid_reads);
            let decoder = model.decoder();
            let last = LogitsOf::Last;
            outputs.push(decoder.forward(&ids, &positions, &mut cache, &mut activations, last)?);
            drop(guard);
        }
        Ok::<_, Box<dyn std::error::Error>>(outputs)
    };
    let expected = logits(&on_cpu, Device::CPU, None)?;
    let read_backs = mock.read_backs();
    let outputs = logits(&on_mock, mock.device(), Some(&mock))?;
    assert_eq!(mock.read_backs(), read_backs);
    assert_same(&outputs, &expected);
    Ok(())
}

#[test]
fn a_device_without_fused_operations_gives_the_same() -> Outcome {
    let _alone = alone();
    let mock = MockDevice::register(1)?;
    let (on_cpu, on_mock) = (model(Device::CPU)?, model(mock.device())?);
    mock.lack(&["rms_norm_quantize", "gate"]);
    let outputs = layer_outputs(&on_mock, mock.device(), Some(&mock))?;
    // The norm and the quantizer alone are what the fused kernel computes; the gate's product
    // rounds the activation first, which the fused kernel does too.
    assert_same(&outputs, &layer_outputs(&on_cpu, Device::CPU, None)?);
    Ok(())
}
