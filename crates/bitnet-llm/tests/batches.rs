//! Several sequences that go on together compute what each computes alone.

use std::path::Path;

use bitnet_llm::model::{Activations, LogitsOf};
use bitnet_llm::{LoadOptions, Model, Result};
use bitnet_tensor::{BitNetTensor, Device};

const PROMPT: usize = 5;
const TOKENS: usize = 9;

/// The bits of the logits after a prompt and each of the tokens that follow it, of each sequence.
fn logits(model: &Model, sequences: &[[u32; TOKENS]]) -> Result<Vec<Vec<u32>>> {
    let count = sequences.len();
    let mut cache = model.new_cache(count, 64)?;
    let mut activations = Activations::new(Device::CPU)?;
    let mut logits = vec![Vec::new(); count];
    let mut pass = |from: usize, to: usize| -> Result<()> {
        let shape = [count, to - from];
        let ids: Vec<u32> = sequences.iter().flat_map(|ids| ids[from..to].to_vec()).collect();
        let ids = BitNetTensor::from_vec(ids, shape)?;
        let positions = BitNetTensor::arange(from as u32..to as u32)?.expand(shape)?;
        let (cache, activations) = (&mut cache, &mut activations);
        let all = model.decoder().forward(&ids, &positions, cache, activations, LogitsOf::Last)?;
        let all = all.to_vec::<f32>()?;
        for (own, row) in logits.iter_mut().zip(all.chunks(all.len() / count)) {
            own.extend(row.iter().map(|x| x.to_bits()));
        }
        Ok(())
    };
    pass(0, PROMPT)?;
    (PROMPT..TOKENS).try_for_each(|place| pass(place, place + 1))?;
    Ok(logits)
}

#[test]
fn sequences_do_not_see_each_other() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let model = Model::load(&path, &LoadOptions::default())?;
    let ids = |n: u32| std::array::from_fn(|place| (place as u32 * 37 + n * 101) % 4000);
    for count in [1, 2, 3, 8, 16] {
        let sequences: Vec<[u32; TOKENS]> = (0..count).map(ids).collect();
        let together = logits(&model, &sequences)?;
        for (n, own) in together.iter().enumerate() {
            assert!(*own == logits(&model, &sequences[n..=n])?[0], "{n} of {count}");
        }
    }
    Ok(())
}
