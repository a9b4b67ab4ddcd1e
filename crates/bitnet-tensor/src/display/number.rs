//! Elements as text of one width. The rules are PyTorch's: floats that are all whole print as
//! `1.`, others with a fixed number of digits, and all of them in scientific notation when their
//! magnitudes are far apart, very large or very small.

use super::PrintOptions;

/// The elements that are shown.
pub(super) enum Cells {
    Floats(Vec<f64>),
    /// What has one way to be written: integers and booleans.
    Words(Vec<String>),
}

/// Elements as text, and the width that they share.
pub(super) struct Aligned {
    pub(super) texts: Vec<String>,
    pub(super) width: usize,
}

impl Cells {
    /// The texts, aligned to the right of the widest. NaN and infinity do not widen the others.
    pub(super) fn aligned(self, options: &PrintOptions) -> Aligned {
        let (texts, width) = match self {
            Self::Words(texts) => {
                let width = texts.iter().map(String::len).max().unwrap_or(1);
                (texts, width)
            }
            Self::Floats(values) => {
                let style = Style::of(&values, options.sci_mode);
                let texts: Vec<String> =
                    values.iter().map(|&value| style.text(value, options.precision)).collect();
                let counted = values.iter().zip(&texts).filter(|(value, _)| counts(**value));
                let width = counted.map(|(_, text)| text.len()).max().unwrap_or(1);
                (texts, width)
            }
        };
        let texts = texts.into_iter().map(|text| format!("{text:>width$}")).collect();
        Aligned { texts, width }
    }
}

/// Whether the value decides on the style and the width.
fn counts(value: f64) -> bool {
    value.is_finite() && value != 0.0
}

enum Style {
    Scientific,
    Whole,
    Fixed,
}

impl Style {
    fn of(values: &[f64], scientific: Option<bool>) -> Self {
        let counted = || values.iter().copied().filter(|&value| counts(value));
        let largest = counted().map(f64::abs).fold(0.0, f64::max);
        let smallest = counted().map(f64::abs).fold(f64::INFINITY, f64::min);
        if largest == 0.0 {
            return Self::Whole;
        }
        let by_magnitude = || largest / smallest > 1000.0 || largest > 1e8 || smallest < 1e-4;
        if scientific.unwrap_or_else(by_magnitude) {
            Self::Scientific
        } else if counted().all(|value| value.fract() == 0.0) {
            Self::Whole
        } else {
            Self::Fixed
        }
    }

    fn text(&self, value: f64, precision: usize) -> String {
        if value.is_nan() {
            return "nan".to_owned();
        }
        match self {
            _ if value.is_infinite() => value.to_string(),
            Self::Fixed => format!("{value:.precision$}"),
            Self::Whole => format!("{value:.0}."),
            Self::Scientific => {
                let text = format!("{value:.precision$e}");
                // At least two digits of exponent, and its sign, as C writes it.
                match text.split_once('e') {
                    Some((digits, exponent)) => match exponent.strip_prefix('-') {
                        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
                        None => format!("{digits}e+{exponent:0>2}"),
                    },
                    None => text,
                }
            }
        }
    }
}
