//! The sampler against a naive oracle, against frequencies, and against pinned sequences.

use super::*;
use proptest::prelude::*;

/// The distribution by the book: every step on the whole vocabulary, in f64, with full sorts.
fn oracle(logits: &[f32], history: &[u32], params: &SamplingParams) -> Vec<f64> {
    let mut logits: Vec<f64> = logits.iter().map(|&l| f64::from(l)).collect();
    let window = match params.repetition_window {
        0 => history.len(),
        n => n.min(history.len()),
    };
    let recent = &history[history.len() - window..];
    for token in 0..logits.len() {
        if recent.contains(&(token as u32)) {
            let penalty = f64::from(params.repetition_penalty);
            let l = logits[token];
            // The sampler works on f32 logits.
            logits[token] = f64::from(if l > 0.0 { l / penalty } else { l * penalty } as f32);
        }
    }
    let drop = f64::NEG_INFINITY;
    if params.top_k > 0 && params.top_k < logits.len() {
        let mut sorted = logits.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let least = sorted[params.top_k - 1];
        for l in &mut logits {
            if *l < least {
                *l = drop;
            }
        }
    }
    for l in &mut logits {
        *l /= f64::from(params.temperature);
    }
    let softmax = |logits: &[f64]| {
        let best = logits.iter().copied().fold(drop, f64::max);
        let exps: Vec<f64> = logits.iter().map(|l| (l - best).exp()).collect();
        let total: f64 = exps.iter().sum();
        exps.into_iter().map(|e| e / total).collect::<Vec<f64>>()
    };
    let probabilities = softmax(&logits);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let mut mass = 0.0;
    for token in order {
        if params.top_p < 1.0 && mass >= f64::from(params.top_p) {
            logits[token] = drop;
        }
        mass += probabilities[token];
    }
    let probabilities = softmax(&logits);
    let best = probabilities.iter().copied().fold(0.0, f64::max);
    for token in 0..logits.len() {
        if probabilities[token] < f64::from(params.min_p) * best {
            logits[token] = drop;
        }
    }
    softmax(&logits)
}

/// The distribution the sampler would draw from.
fn distribution(logits: &[f32], history: &[u32], params: &SamplingParams) -> Vec<f64> {
    let mut sampler = Sampler::new(params.clone()).unwrap();
    sampler.sample(logits, history).unwrap();
    let total: f64 = sampler.candidates.iter().map(|c| c.weight).sum();
    let mut probabilities = vec![0.0; logits.len()];
    for candidate in &sampler.candidates {
        probabilities[candidate.token as usize] = candidate.weight / total;
    }
    probabilities
}

fn assert_close(ours: &[f64], oracle: &[f64]) {
    for (token, (a, b)) in ours.iter().zip(oracle).enumerate() {
        assert!((a - b).abs() < 1e-9, "token {token}: {a} and {b}");
    }
}

proptest! {
    #[test]
    fn distribution_equals_the_oracle(
        logits in prop::collection::vec(-8.0_f32..8.0, 1..300),
        history in prop::collection::vec(0_u32..300, 0..20),
        temperature in 0.1_f32..3.0,
        top_k in 0_usize..40,
        top_p in prop_oneof![Just(1.0_f32), 0.05_f32..1.0],
        min_p in prop_oneof![Just(0.0_f32), 0.0_f32..0.5],
        repetition_penalty in prop_oneof![Just(1.0_f32), 0.5_f32..2.0],
        repetition_window in 0_usize..8,
    ) {
        let history: Vec<u32> = history.into_iter()
            .filter(|&t| (t as usize) < logits.len())
            .collect();
        let params = SamplingParams {
            temperature, top_k, top_p, min_p, repetition_penalty, repetition_window, seed: 0,
        };
        assert_close(
            &distribution(&logits, &history, &params),
            &oracle(&logits, &history, &params),
        );
    }

    /// Few distinct values: ties at every threshold.
    #[test]
    fn ties_equal_the_oracle(
        logits in prop::collection::vec((-2_i8..3).prop_map(f32::from), 1..200),
        top_k in 0_usize..40,
        top_p in 0.05_f32..1.0,
    ) {
        let params = SamplingParams { top_k, top_p, ..SamplingParams::default() };
        let ours = distribution(&logits, &[], &params);
        let oracle = oracle(&logits, &[], &params);
        // Where a sum of equal weights meets top_p exactly, the last bit may decide.
        let kept = |p: &[f64]| p.iter().filter(|p| **p > 0.0).count();
        if kept(&ours) == kept(&oracle) {
            assert_close(&ours, &oracle);
        } else {
            prop_assert!(kept(&ours).abs_diff(kept(&oracle)) <= 1);
        }
    }
}

#[test]
fn frequencies_follow_the_distribution() {
    let logits = [1.0, 0.0, 2.0, -1.0, f32::NEG_INFINITY, 0.5];
    let params = SamplingParams { temperature: 0.8, seed: 42, ..SamplingParams::default() };
    let expected = oracle(&logits, &[], &params);
    let mut sampler = Sampler::new(params).unwrap();
    const DRAWS: u32 = 200_000;
    let mut counts = [0_u32; 6];
    for _ in 0..DRAWS {
        counts[sampler.sample(&logits, &[]).unwrap() as usize] += 1;
    }
    assert_eq!(counts[4], 0);
    for (count, p) in counts.iter().zip(expected) {
        // Five standard deviations of a binomial.
        let tolerance = 5.0 * (p * (1.0 - p) / f64::from(DRAWS)).sqrt();
        assert!((f64::from(*count) / f64::from(DRAWS) - p).abs() <= tolerance);
    }
}

#[test]
fn greedy_takes_the_first_of_the_best() {
    let mut sampler = Sampler::new(SamplingParams::greedy()).unwrap();
    assert_eq!(sampler.sample(&[1.0, 3.0, 3.0, 2.0], &[]).unwrap(), 1);
    assert_eq!(sampler.sample(&[-0.0, 0.0], &[]).unwrap(), 0);
    let mut penalised =
        Sampler::new(SamplingParams { repetition_penalty: 2.0, ..SamplingParams::greedy() })
            .unwrap();
    assert_eq!(penalised.sample(&[1.0, 3.0, 2.9], &[1, 1]).unwrap(), 2);
    assert_eq!(penalised.sample(&[-1.0, -1.5], &[0]).unwrap(), 1);
}

#[test]
fn filters_reduce_to_the_best_token() {
    let logits = [0.0, 5.0, 4.9];
    for params in [
        SamplingParams { top_k: 1, ..SamplingParams::default() },
        SamplingParams { top_p: 1e-6, ..SamplingParams::default() },
        SamplingParams { min_p: 1.0, ..SamplingParams::default() },
        // So cold that the other weights vanish.
        SamplingParams { temperature: 1e-30, ..SamplingParams::default() },
    ] {
        let mut sampler = Sampler::new(params).unwrap();
        for _ in 0..50 {
            assert_eq!(sampler.sample(&logits, &[]).unwrap(), 1);
        }
    }
}

/// From a plain Python program with the same generator and math.exp. A change of these numbers
/// is a change of every user's seeded text.
#[test]
fn seeded_sequences_are_stable() {
    let logits: Vec<f32> = (0..1000).map(|i| ((i * 37) % 101) as f32 / 20.0).collect();
    let draw = |params: SamplingParams| -> Vec<u32> {
        let mut sampler = Sampler::new(params).unwrap();
        (0..8).map(|_| sampler.sample(&logits, &[]).unwrap()).collect()
    };
    let plain = SamplingParams { seed: 7, ..SamplingParams::default() };
    let filtered = SamplingParams { top_k: 50, top_p: 0.9, ..plain.clone() };
    assert_eq!(draw(plain.clone()), draw(plain.clone()));
    assert_eq!(draw(plain), [57, 171, 722, 431, 966, 464, 726, 332]);
    assert_eq!(draw(filtered), [49, 150, 696, 393, 969, 434, 696, 322]);
}

/// First outputs of the generator for this seed, from SplitMix64 and xoshiro256++ as their
/// authors publish them (<https://prng.di.unimi.it>), written out plainly.
#[test]
fn the_generator_is_xoshiro256plusplus() {
    let mut split_mix = 7_u64;
    let mut next_state = || {
        split_mix = split_mix.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = split_mix;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut s = [next_state(), next_state(), next_state(), next_state()];
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    for _ in 0..100 {
        let expected = (s[0].wrapping_add(s[3])).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        assert_eq!(random.next_u64(), expected);
    }
}

#[test]
fn broken_logits_are_errors() {
    for params in [SamplingParams::greedy(), SamplingParams::default()] {
        let mut sampler = Sampler::new(params).unwrap();
        let message = |sampler: &mut Sampler, logits: &[f32]| {
            sampler.sample(logits, &[]).unwrap_err().to_string()
        };
        assert_eq!(message(&mut sampler, &[0.0, f32::NAN]), "the logit of token 1 is NaN");
        assert_eq!(message(&mut sampler, &[f32::INFINITY, 0.0]), "the logit of token 0 is inf");
        assert_eq!(
            message(&mut sampler, &[f32::NEG_INFINITY; 3]),
            "no token is possible: all 3 logits are -inf"
        );
        assert!(sampler.sample(&[], &[]).is_err());
        assert!(sampler.sample(&[0.0], &[]).is_ok());
    }
    let mut sampler =
        Sampler::new(SamplingParams { repetition_penalty: 1e-38, ..SamplingParams::default() })
            .unwrap();
    assert!(sampler.sample(&[3e38, -3e38], &[0, 1]).is_ok());
    assert_eq!(
        sampler.sample(&[0.0; 4], &[4]).unwrap_err().to_string(),
        "the history has token 4, the logits cover 4 tokens"
    );
}

#[test]
fn invalid_parameters_are_named() {
    let base = SamplingParams::default;
    for (params, part) in [
        (SamplingParams { temperature: -1.0, ..base() }, "temperature = -1"),
        (SamplingParams { temperature: f32::NAN, ..base() }, "temperature = NaN"),
        (SamplingParams { top_p: 0.0, ..base() }, "top_p = 0"),
        (SamplingParams { top_p: 1.1, ..base() }, "top_p = 1.1"),
        (SamplingParams { min_p: -0.1, ..base() }, "min_p = -0.1"),
        (SamplingParams { repetition_penalty: 0.0, ..base() }, "repetition_penalty = 0"),
    ] {
        let message = Sampler::new(params).unwrap_err().to_string();
        assert!(message.starts_with(part), "{message}");
        assert!(message.contains("allowed: "), "{message}");
    }
}
