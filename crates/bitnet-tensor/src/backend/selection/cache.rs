//! Measurements kept from run to run: one file in the user's folder for caches. It holds for one
//! version of this crate on one machine; whatever else it holds is as if it were not there.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

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

/// Where measurements are kept; `None` where the system names no folder.
pub(super) fn folder() -> Option<PathBuf> {
    folder_of(env::consts::OS, |name| env::var_os(name))
}

fn folder_of(system: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("BITNET_CACHE_DIR") {
        return Some(folder);
    }
    let caches = match system {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => variable("HOME").map(|home| home.join("Library/Caches")),
        // The XDG base directory specification: a relative path is to be ignored.
        _ => variable("XDG_CACHE_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| variable("HOME").map(|home| home.join(".cache"))),
    };
    caches.map(|caches| caches.join("bitnet-rust"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_the_system() {
        let with = |system, variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(other, _)| *other == name);
            folder_of(system, |name| find(name).map(|(_, value)| OsString::from(value)))
        };
        let some = |path: &str| Some(PathBuf::from(path));
        assert_eq!(with("linux", &[("HOME", "/h")]), some("/h/.cache/bitnet-rust"));
        let xdg = [("HOME", "/h"), ("XDG_CACHE_HOME", "/c")];
        assert_eq!(with("linux", &xdg), some("/c/bitnet-rust"));
        let relative = [("HOME", "/h"), ("XDG_CACHE_HOME", "c")];
        assert_eq!(with("linux", &relative), some("/h/.cache/bitnet-rust"));
        assert_eq!(with("macos", &[("HOME", "/h")]), some("/h/Library/Caches/bitnet-rust"));
        assert_eq!(with("linux", &[("BITNET_CACHE_DIR", "/x"), ("HOME", "/h")]), some("/x"));
        assert_eq!(with("windows", &[("HOME", "/h")]), None);
    }
}
