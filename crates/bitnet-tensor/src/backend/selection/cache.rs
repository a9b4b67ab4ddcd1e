//! Measurements kept from run to run: one file in the user's folder for caches. It holds for one
//! version of this crate on one machine; whatever else it holds is as if it were not there.

use std::env;
use std::fs;
use std::path::Path;

use bitnet_formats::FormatError;
use bitnet_kernels::{Cpu, parallel};

use super::costs::CostModel;
use crate::backend::registry;
use crate::error::Result;
use crate::io::{file_error, replace_file};

const FILE: &str = "devices.json";

#[derive(serde::Serialize, serde::Deserialize)]
struct Cached {
    key: String,
    model: CostModel,
}

/// What the measurements hold for.
pub(super) fn key() -> String {
    let names = registry::infos()
        .into_iter()
        .map(|info| format!("{} {}", info.device, info.name.unwrap_or_default()));
    format!(
        "{} {} {} {} threads; {}",
        env!("CARGO_PKG_VERSION"),
        env::consts::OS,
        Cpu::best(),
        parallel::num_threads(),
        names.collect::<Vec<_>>().join("; ")
    )
}

pub(super) fn read(folder: &Path, key: &str) -> Option<CostModel> {
    let bytes = fs::read(folder.join(FILE)).ok()?;
    let cached: Cached = serde_json::from_slice(&bytes).ok()?;
    (cached.key == key).then_some(cached.model)
}

pub(super) fn write(folder: &Path, key: &str, model: &CostModel) -> Result<()> {
    let path = folder.join(FILE);
    let at_fault = |error| file_error("keep measurements", &path, FormatError::Io(error));
    fs::create_dir_all(folder).map_err(at_fault)?;
    let cached = Cached { key: key.to_owned(), model: model.clone() };
    replace_file("keep measurements", &path, |mut file| {
        serde_json::to_writer_pretty(&mut file, &cached).map_err(|error| at_fault(error.into()))?;
        Ok(file)
    })
}
