//! A model inside of the library: text without a download, and a subject for tests.
//!
//! stories-27m has the architecture and the file format of BitNet b1.58 2B-4T, scaled down to 27
//! million parameters: it tells simple stories and answers simple questions. Its weights are
//! used where they lie in the program.

use std::sync::Arc;

use bitnet_llm::model::EmbeddedModel;
use bitnet_llm::{LoadOptions, Model, ModelFiles, Result};

/// Bytes that begin at a cache line, so that tensors in them need no copy.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

static WEIGHTS: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../models/stories-27m/model.safetensors"));

static STORIES_27M: EmbeddedModel = EmbeddedModel {
    name: "stories-27m",
    config: include_bytes!("../../../models/stories-27m/config.json"),
    tokenizer: include_bytes!("../../../models/stories-27m/tokenizer.json"),
    tokenizer_config: include_bytes!("../../../models/stories-27m/tokenizer_config.json"),
    weights: &WEIGHTS.0,
};

/// The files of stories-27m.
///
/// ```
/// assert_eq!(bitnet::embedded::stories_27m().name, "stories-27m");
/// ```
pub fn stories_27m() -> &'static EmbeddedModel {
    &STORIES_27M
}

/// Loads stories-27m.
///
/// # Errors
/// [`LlmError::InvalidOption`](crate::LlmError::InvalidOption) for a context above 1024 tokens;
/// a tensor error when memory cannot be had.
pub fn load_stories_27m(options: &LoadOptions<'_>) -> Result<Arc<Model>> {
    Model::from_files(&ModelFiles::embedded(&STORIES_27M)?, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_begin_at_a_cache_line() {
        assert_eq!(stories_27m().weights.as_ptr() as usize % 64, 0);
    }
}
