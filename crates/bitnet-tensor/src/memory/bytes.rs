//! Numbers of bytes, as people write and read them.

use std::fmt;

/// A number of bytes for people: `512 B`, `1.5 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let step = (self.0.ilog2() as usize / 10).min(UNITS.len());
        let value = self.0 as f64 / (1u64 << (10 * step)) as f64;
        f.pad(&format!("{value:.1} {}", UNITS[step - 1]))
    }
}

/// The number of bytes that `text` says: digits, perhaps with a decimal point, and a unit: none or
/// `B`; `K`, `M`, `G`, `T`, also as `KiB`, …, by 1024; `KB`, … by 1000. Upper or lower case.
///
/// ```
/// use bitnet_tensor::memory::parse_bytes;
/// assert_eq!(parse_bytes("4096"), Some(4096));
/// assert_eq!(parse_bytes("1.5 GiB"), Some(3 << 29));
/// assert_eq!(parse_bytes("512m"), Some(512 << 20));
/// assert_eq!(parse_bytes("2GB"), Some(2_000_000_000));
/// assert_eq!(parse_bytes("much"), None);
/// ```
pub fn parse_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (letter, base) = match unit.as_bytes() {
        [] | b"b" => (None, 1),
        [letter] | [letter, b'i', b'b'] => (Some(letter), 1024u64),
        [letter, b'b'] => (Some(letter), 1000),
        _ => return None,
    };
    let power = match letter {
        None => 0,
        Some(letter) => 1 + b"kmgt".iter().position(|unit| unit == letter)? as u32,
    };
    let scale = base.pow(power);
    if let Ok(number) = number.parse::<u64>() {
        return usize::try_from(number.checked_mul(scale)?).ok();
    }
    // Digits around one point.
    let value = number.parse::<f64>().ok()? * scale as f64;
    (value < 2f64.powi(53)).then_some(value as usize)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3 << 19, "1.5 MiB"),
            (5 << 40, "5.0 TiB"),
            (usize::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>8}", Bytes(1)), "     1 B");
    }

    #[test]
    fn what_is_no_number_of_bytes_is_refused() {
        for text in [
            "", ".", "B", "-1", "+", "1e9", "1.2.3G", "1 X", "1KiBs", "1ib", "1 G B", "NaN", "inf",
            "٣",
        ] {
            assert_eq!(parse_bytes(text), None, "{text:?}");
        }
        assert_eq!(parse_bytes("18446744073709551615"), Some(usize::MAX));
        for text in ["18446744073709551616", "16777216TiB", "99999999999T", "9e99"] {
            assert_eq!(parse_bytes(text), None, "{text:?}");
        }
        assert_eq!(parse_bytes(" 0.5k "), Some(512));
        assert_eq!(parse_bytes("7.9B"), Some(7));
    }
}
