//! What `bitnet convert` and `bitnet quantize` share: types by name, the kind of checkpoint from
//! the name of the output, progress, and Ctrl-C that leaves nothing behind.

use std::path::Path;

use anyhow::Result;
use bitnet::LlmError;
use bitnet::llm::checkpoint::RawDType;
use bitnet::llm::checkpoint::{
    Checkpoint, Container, ConvertOptions, ConvertReport, Encoding, convert,
};

use crate::interrupt::Generating;
use crate::output;
use crate::progress::LazyBar;

/// The encoding of that name.
pub(super) fn encoding(text: &str) -> Result<Encoding, String> {
    Encoding::from_name(text).ok_or_else(|| {
        format!(
            "{text} is no type; some are hf, i2_s, tq1_0, tq2_0, q8_0, q4_0, q6_k, f16, bf16, f32"
        )
    })
}

/// The type of floats of that name.
pub(super) fn float(text: &str) -> Result<RawDType, String> {
    match encoding(text)? {
        Encoding::Number(dtype @ (RawDType::F32 | RawDType::F16 | RawDType::BF16)) => Ok(dtype),
        other => Err(format!("{other} is none of f32, f16, bf16")),
    }
}

/// What a path of that name is.
pub(super) fn container_of(path: &Path) -> Container {
    let is_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    if is_gguf { Container::Gguf } else { Container::HuggingFace }
}

/// Writes the checkpoint; `None` when Ctrl-C stopped it.
pub(super) fn run(
    checkpoint: &Checkpoint,
    path: &Path,
    options: &ConvertOptions,
    quiet: bool,
) -> Result<Option<ConvertReport>> {
    /// Elements that the bar counts as one.
    const UNIT: usize = 1 << 20;
    let mut bar = LazyBar::new("million weights", quiet);
    let running = Generating::begin_writing();
    let written = convert(checkpoint, path, options, &mut |progress| {
        bar.update(progress.done / UNIT, progress.total.div_ceil(UNIT));
        running.flow()
    });
    drop((bar, running));
    match written {
        Ok(report) => Ok(Some(report)),
        Err(LlmError::Interrupted) => {
            if !quiet {
                output::notice("interrupted: nothing was written");
            }
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
