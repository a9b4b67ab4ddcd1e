//! Promotion of types: the laws, and the table of the array API standard.

use bitnet_tensor::BitNetDType::{
    self, BF16, Bool, F16, F32, F64, I8, I16, I32, I64, Ternary, U8, U16, U32, U64,
};
use bitnet_tensor::{BitNetTensor, Result};

const ALL: [BitNetDType; 14] =
    [Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64, Ternary];

/// The standard's tables: signed and unsigned integers, floats. `F16` and `BF16`, which it leaves
/// open, meet in `F32`, as in PyTorch.
fn table(a: BitNetDType, b: BitNetDType) -> Option<BitNetDType> {
    const INTEGERS: [BitNetDType; 8] = [I8, I16, I32, I64, U8, U16, U32, U64];
    const OF_INTEGERS: [[Option<BitNetDType>; 8]; 8] = {
        const fn some(row: [BitNetDType; 7]) -> [Option<BitNetDType>; 8] {
            let [a, b, c, d, e, f, g] = row;
            [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f), Some(g), None]
        }
        [
            some([I8, I16, I32, I64, I16, I32, I64]),
            some([I16, I16, I32, I64, I16, I32, I64]),
            some([I32, I32, I32, I64, I32, I32, I64]),
            some([I64, I64, I64, I64, I64, I64, I64]),
            [Some(I16), Some(I16), Some(I32), Some(I64), Some(U8), Some(U16), Some(U32), Some(U64)],
            [
                Some(I32),
                Some(I32),
                Some(I32),
                Some(I64),
                Some(U16),
                Some(U16),
                Some(U32),
                Some(U64),
            ],
            [
                Some(I64),
                Some(I64),
                Some(I64),
                Some(I64),
                Some(U32),
                Some(U32),
                Some(U32),
                Some(U64),
            ],
            [None, None, None, None, Some(U64), Some(U64), Some(U64), Some(U64)],
        ]
    };
    const FLOATS: [BitNetDType; 4] = [F16, BF16, F32, F64];
    const OF_FLOATS: [[BitNetDType; 4]; 4] =
        [[F16, F32, F32, F64], [F32, BF16, F32, F64], [F32, F32, F32, F64], [F64, F64, F64, F64]];
    let place = |list: &[BitNetDType], x| list.iter().position(|&y| y == x);
    match (place(&INTEGERS, a), place(&INTEGERS, b), place(&FLOATS, a), place(&FLOATS, b)) {
        (Some(a), Some(b), ..) => OF_INTEGERS[a][b],
        (_, _, Some(a), Some(b)) => Some(OF_FLOATS[a][b]),
        _ => (a == b).then_some(a),
    }
}

#[test]
fn promotion_is_that_of_the_table() -> Result<()> {
    for a in ALL {
        for b in ALL {
            assert_eq!(a.promote(b), table(a, b), "{a} {b}");
            if [a, b].contains(&Ternary) {
                continue;
            }
            // What operations do with two types.
            let (x, y) = (BitNetTensor::zeros([2], a)?, BitNetTensor::zeros([2], b)?);
            let equal_shapes = BitNetTensor::cat(&[&x, &y], 0).map(|z| z.dtype()).ok();
            assert_eq!(equal_shapes, table(a, b), "cat of {a} and {b}");
            if a != Bool {
                assert_eq!(x.add(&y).map(|z| z.dtype()).ok(), table(a, b), "{a} + {b}");
            }
        }
    }
    Ok(())
}

#[test]
fn promotion_is_commutative_and_associative() {
    for a in ALL {
        for b in ALL {
            assert_eq!(a.promote(b), b.promote(a), "{a} {b}");
            for c in ALL {
                let left = a.promote(b).and_then(|ab| ab.promote(c));
                let right = b.promote(c).and_then(|bc| a.promote(bc));
                // Where a step has no type the order matters: i8 with u32 is i64, with u64 none.
                if let (Some(left), Some(right)) = (left, right) {
                    assert_eq!(left, right, "{a} {b} {c}");
                }
            }
        }
    }
}
