//! From the options to a loaded model.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use bitnet::llm::model::Progress;
use bitnet::tensor::backend::{Work, WorkClass};
use bitnet::{Device, LoadOptions, Model, ModelFiles};

use crate::args::{EngineArguments, LayoutArguments, ModelArguments};
use crate::progress::LazyBar;

/// What the model inside of the program is called.
pub(crate) const EMBEDDED: &str = "stories-27m (embedded)";

/// The files of the model that was asked for, and what to call it.
pub(crate) fn files(path: Option<&Path>, layout: LayoutArguments) -> Result<(ModelFiles, String)> {
    Ok(match path {
        Some(path) => (layout.open(path)?, path.display().to_string()),
        None => (ModelFiles::embedded(bitnet::embedded::stories_27m())?, EMBEDDED.to_owned()),
    })
}

/// Loads the model that was asked for, with a progress bar where that is long.
pub(crate) fn load(arguments: &ModelArguments, quiet: bool) -> Result<(Arc<Model>, String)> {
    arguments.engine.apply()?;
    with_options(&arguments.engine, quiet, |options| {
        let (files, name) = files(arguments.model.as_deref(), arguments.layout)?;
        Ok((Model::from_files(&files, options)?, name))
    })
}

/// Calls `make` with the options that were asked for, once they [apply](EngineArguments::apply).
pub(crate) fn with_options<T>(
    arguments: &EngineArguments,
    quiet: bool,
    make: impl FnOnce(&LoadOptions<'_>) -> Result<T>,
) -> Result<T> {
    let bar = RefCell::new(LazyBar::new("loading layers", quiet));
    let progress = |progress: Progress| bar.borrow_mut().update(progress.done, progress.total);
    make(&LoadOptions {
        device: device(arguments.device.as_deref())?,
        output_head: arguments.output_head,
        context: arguments.context,
        progress: Some(&progress),
    })
}

/// The device of that name, else where the environment puts a model.
fn device(name: Option<&str>) -> Result<Device> {
    if name == Some("cpu") {
        return Ok(Device::CPU); // without waking the drivers of others
    }
    bitnet::register_devices()?;
    Ok(match name {
        Some(name) => Device::parse(name)?,
        None => Device::preferred(&DECODING)?,
    })
}

/// What decides where a model runs, for strategies that measure: one token of a model of a thousand
/// million ternary weights, of which only the ids cross to the device and the logits back.
const DECODING: Work = Work {
    flops: 2_000_000_000,
    bytes: 250_000_000,
    upload_bytes: 8,
    download_bytes: 400_000,
    ..Work::new(WorkClass::Product)
};
