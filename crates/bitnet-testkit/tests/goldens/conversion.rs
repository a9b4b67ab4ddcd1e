//! Conversions between every two types.

use bitnet_testkit::Tolerance;

use crate::family;

#[test]
fn goldens() {
    family(
        include_str!("../../goldens/conversion.json"),
        |case, x| Ok(vec![x[0].to_dtype(case.dtype("dtype"))?]),
        |_, _| Tolerance::EXACT,
    );
}
