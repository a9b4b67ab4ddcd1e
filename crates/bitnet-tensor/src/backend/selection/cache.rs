//! Measurements kept from run to run: one file in the user's folder for caches. It holds for one
//! version of this crate on one machine; whatever else it holds is as if it were not there.

use std::env;
use std::fs;
use std::path::Path;

use bitnet_formats::FormatError;
use bitnet_kernels::{Cpu, parallel};

use super::costs::CostModel;
use crate::backend::environment::keep;
use crate::backend::registry;
use crate::error::Result;
use crate::io::file_error;

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
    const OPERATION: &str = "keep measurements";
    let path = folder.join(FILE);
    let cached = Cached { key: key.to_owned(), model: model.clone() };
    let bytes = serde_json::to_vec_pretty(&cached)
        .map_err(|error| file_error(OPERATION, &path, FormatError::Io(error.into())))?;
    keep(OPERATION, &path, &bytes)
}
