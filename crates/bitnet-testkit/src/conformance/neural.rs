//! Rotary position embedding and attention.

use bitnet_tensor::ops::RopeMode;
use bitnet_tensor::{BitNetTensor, Result};

use super::Case;
use crate::random::layouts;
use crate::{Random, Tolerance};

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    rope(&mut cases)?;
    attention(&mut cases)?;
    Ok(cases)
}

fn rope(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(40);
    for mode in [RopeMode::RotateHalf, RopeMode::AdjacentPairs] {
        let mut add = |what: String, x: BitNetTensor, random: &mut Random| -> Result<()> {
            let &[batch, tokens, _, head_dim] = &**x.shape() else { return Ok(()) };
            let angles = random.floats(&[50, head_dim / 2])?;
            let positions = random.indices(50, &[batch, tokens])?;
            let operands = vec![x, angles.clone(), angles.neg()?, positions];
            let computation =
                move |x: &[BitNetTensor]| Ok(vec![x[0].rope(&x[1], &x[2], &x[3], mode)?]);
            cases.push(Case::new(
                format!("rope {mode:?} {what}"),
                Tolerance::ROPE,
                operands,
                computation,
            ));
            Ok(())
        };
        for shape in [
            [1, 1, 1, 2],
            [2, 3, 4, 16],
            [1, 5, 3, 34],
            [1, 2, 8, 64],
            [2, 0, 3, 4],
            [2, 3, 0, 4],
            [1, 2, 3, 0],
        ] {
            let x = random.floats(&shape)?;
            add(format!("{shape:?}"), x, &mut random)?;
        }
        for (layout, x) in layouts(&random.floats(&[2, 3, 4, 8])?)? {
            add(layout.into(), x, &mut random)?;
        }
        // Queries and keys as a model has them: parts of one tensor of all heads.
        let heads = random.floats(&[2, 3, 8, 16])?;
        add("first heads".into(), heads.narrow(2, 0, 4)?, &mut random)?;
        add("middle heads".into(), heads.narrow(2, 4, 2)?, &mut random)?;
        add(
            "expanded batch".into(),
            random.floats(&[1, 3, 2, 8])?.expand([4, 3, 2, 8])?,
            &mut random,
        )?;
    }
    Ok(())
}

fn attention(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(41);
    let mut add = |what: String, operands: [BitNetTensor; 4]| {
        let computation = |x: &[BitNetTensor]| Ok(vec![x[0].attention(&x[1], &x[2], &x[3], 0.3)?]);
        let name = format!("attention {what}");
        cases.push(Case::new(name, Tolerance::ATTENTION, operands.to_vec(), computation));
    };
    // batch, tokens, heads, kv_heads, head_dim, capacity
    for [batch, tokens, heads, kv_heads, head_dim, capacity] in [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 4, 2, 16, 40],
        [2, 3, 4, 1, 8, 5],
        [1, 17, 2, 2, 33, 17],
        [1, 1, 8, 4, 64, 300],
        [2, 40, 3, 3, 20, 70],
        [1, 0, 2, 1, 4, 3],
        [0, 1, 2, 1, 4, 3],
    ] {
        let q = random.floats(&[batch, tokens, heads, head_dim])?;
        let kv = [batch, capacity, kv_heads, head_dim];
        let operands = [
            q,
            random.floats(&kv)?,
            random.floats(&kv)?,
            random.indices(capacity, &[batch, tokens])?,
        ];
        add(format!("{batch} {tokens} {heads} {kv_heads} {head_dim} {capacity}"), operands);
    }
    let positions = BitNetTensor::from_vec(vec![3u32, 4, 0, 6], [2, 2])?;
    for (layout, q) in layouts(&random.floats(&[2, 2, 4, 8])?)? {
        add(
            format!("queries {layout}"),
            [q, random.floats(&[2, 7, 2, 8])?, random.floats(&[2, 7, 2, 8])?, positions.clone()],
        );
    }
    for (layout, kv) in layouts(&random.floats(&[2, 7, 2, 8])?)? {
        add(
            format!("keys {layout}"),
            [random.floats(&[2, 2, 4, 8])?, kv.clone(), kv.neg()?, positions.clone()],
        );
        add(
            format!("values {layout}"),
            [random.floats(&[2, 2, 4, 8])?, kv.neg()?, kv, positions.clone()],
        );
    }
    // A cache keeps the tokens of each head together; what lies beyond a position is unwritten.
    let written = random.floats(&[2, 2, 4, 8])?;
    let unwritten = BitNetTensor::full([2, 2, 3, 8], f32::NAN)?;
    let cache = BitNetTensor::cat(&[&written, &unwritten], 2)?.permute(&[0, 2, 1, 3])?;
    let positions = BitNetTensor::from_vec(vec![0u32, 3, 2, 1], [2, 2])?;
    add(
        "a cache with unwritten rows".into(),
        [random.floats(&[2, 2, 4, 8])?, cache.clone(), cache, positions],
    );
    Ok(())
}
