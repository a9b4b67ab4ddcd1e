//! How many inputs of the down projection the squared ReLU leaves zero, of the model that is part of the
//! program: what a kernel that skips them could save.
//!
//! `cargo test -p bitnet-llm sparsity -- --nocapture` prints it; `benches/RESULTS.md` has the conclusion.

use std::path::Path;

use bitnet_tensor::BitNetTensor;

use super::decoder::DecoderLayer;
use super::{Activations, LoadOptions, Model};
use crate::tokenizer::BosPolicy;

/// Tokens that are read, one by one as in decoding.
const TOKENS: usize = 256;

/// Columns that lie side by side: four share an instruction, sixteen a line of weights, 64 a block of
/// activations.
const GROUPS: [usize; 3] = [4, 16, 64];

/// Inputs of a down projection, counted over tokens.
struct Counts {
    inputs: usize,
    /// Zero as they leave the gate.
    zero: usize,
    /// Zero as codes of eight bits.
    zero_codes: usize,
    /// All of whose codes are zero, of each size of [`GROUPS`].
    zero_groups: [usize; 3],
    /// Of each column, the tokens with another code.
    used: Vec<usize>,
}

impl Counts {
    fn new(width: usize) -> Self {
        Self { inputs: 0, zero: 0, zero_codes: 0, zero_groups: [0; 3], used: vec![0; width] }
    }

    fn add(&mut self, gated: &[f32], codes: &[i8]) {
        self.inputs += gated.len();
        self.zero += gated.iter().filter(|&&value| value == 0.0).count();
        self.zero_codes += codes.iter().filter(|&&code| code == 0).count();
        for (count, size) in self.zero_groups.iter_mut().zip(GROUPS) {
            let groups = codes.chunks(size);
            *count += groups.filter(|group| group.iter().all(|&code| code == 0)).count();
        }
        for (used, &code) in self.used.iter_mut().zip(codes) {
            *used += usize::from(code != 0);
        }
    }

    /// Shares of all inputs: zero, zero codes, in groups of zero codes.
    fn shares(&self) -> [f64; 5] {
        let share = |count: usize| count as f64 / self.inputs as f64;
        let [four, line, block] = self.zero_groups;
        let [four, line, block] = [4 * four, 16 * line, 64 * block];
        [share(self.zero), share(self.zero_codes), share(four), share(line), share(block)]
    }
}

#[test]
fn the_sparsity_of_the_down_projections_inputs() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = Model::load(&root.join("../../models/stories-27m"), &LoadOptions::default())?;
    let text = std::fs::read_to_string(root.join("tests/golden/shakespeare-head.txt"))?;
    let mut tokens = model.tokenizer()?.encode(&text, BosPolicy::Auto)?;
    tokens.truncate(TOKENS);

    let decoder = model.decoder();
    let width = decoder.layers[0].feed_forward.width;
    let mut counts: Vec<Counts> = decoder.layers.iter().map(|_| Counts::new(width)).collect();
    let mut cache = model.new_cache(1, TOKENS)?;
    cache.reserve(tokens.len())?;
    let mut activations = Activations::new(model.device())?;
    for (position, &token) in tokens.iter().enumerate() {
        let ids = BitNetTensor::from_vec(vec![token], [1, 1])?;
        let positions = BitNetTensor::from_vec(vec![position as u32], [1, 1])?;
        let mut x = decoder.embedding.forward(&ids)?;
        let layers = decoder.layers.iter().zip(cache.layers_mut());
        for ((layer, cache), counts) in layers.zip(&mut counts) {
            x = layer.forward(x, &positions, &decoder.rotary, cache, &mut activations)?;
            let gated = &activations.gated;
            counts.add(&gated.to_vec::<f32>()?, &codes(layer, gated, width)?);
        }
    }

    println!("{} tokens, share of the {width} inputs that are zero, in per cent", tokens.len());
    println!(
        "layer  as floats  as codes  in fours  in sixteens  in blocks of 64  columns never used"
    );
    for (layer, counts) in counts.iter().enumerate() {
        let shares = counts.shares();
        let [zero, codes, four, line, block] = shares.map(|share| 100.0 * share);
        let never = counts.used.iter().filter(|&&used| used == 0).count();
        println!(
            "{layer:>5} {zero:>10.1} {codes:>9.1} {four:>9.1} {line:>12.1} {block:>15.1} {never:>19}"
        );
        // Zeros stay zeros, and a group has no more of them than its parts.
        assert!(shares[0] <= shares[1] && shares[1..].is_sorted_by(|a, b| a >= b), "{shares:?}");
    }
    Ok(())
}

/// The codes that the down projection multiplies with.
fn codes(
    layer: &DecoderLayer,
    gated: &BitNetTensor,
    width: usize,
) -> Result<Vec<i8>, Box<dyn std::error::Error>> {
    let normed = match &layer.feed_forward.sub_norm {
        Some(norm) => norm.forward(gated)?,
        None => gated.clone(),
    };
    let mut codes = normed.quantize_activation()?.codes().to_vec::<i8>()?;
    codes.truncate(width);
    Ok(codes)
}
