//! The environment variables that say where and how to compute. A value that says nothing is an
//! error where a program asks, and a warning where the library finds it by itself; it is never
//! ignored in silence.
//!
//! | variable | values | without it |
//! |---|---|---|
//! | `BITNET_DEVICE` | a name as [`Device::parse`] takes | the strategy decides |
//! | `BITNET_STRATEGY` | as [`SelectionStrategy`] is written | the first device of the chain |
//! | `BITNET_FALLBACK` | `error`, `warn`, `silent` | `warn` |
//! | `BITNET_NUM_THREADS` | 1 to 256 | the cores that the process may use |
//! | `BITNET_ISA` | `scalar`, `avx2`, `avx512-vnni`, `avx512-vbmi` | the best that the processor has |
//! | `BITNET_CACHE_DIR` | a folder; `none` keeps nothing | the user's folder for caches |

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bitnet_formats::FormatError;
use bitnet_kernels::{Cpu, parallel};

use super::{FallbackPolicy, SelectionStrategy, Work};
use crate::error::{Result, error};
use crate::io::{file_error, replace_file};
use crate::{Device, TensorOpError};

/// Checks every variable: for a program, before it begins.
///
/// # Errors
/// `ComputationError` with the variable's name, its value and what it may be;
/// [`DeviceMismatch`](TensorOpError::DeviceMismatch) for a device that is not there.
pub fn check() -> Result<()> {
    let refused = |reason: String| error!(ComputationError, "environment", &[], "{reason}");
    parallel::threads_from_environment().map_err(refused)?;
    Cpu::from_environment().map_err(refused)?;
    fallback_policy()?;
    strategy()?;
    named_device()?;
    Ok(())
}

/// What `BITNET_FALLBACK` says.
///
/// # Errors
/// As [`check`].
pub fn fallback_policy() -> Result<Option<FallbackPolicy>> {
    parsed("BITNET_FALLBACK")
}

/// What `BITNET_STRATEGY` says.
///
/// # Errors
/// As [`check`].
pub fn strategy() -> Result<Option<SelectionStrategy>> {
    parsed("BITNET_STRATEGY")
}

/// The folder for what is kept from run to run, where losing it costs only time: that of
/// `BITNET_CACHE_DIR`, else `bitnet-rust` in the user's folder for caches. `None` where the system names
/// none, and when the variable is `none`.
pub fn cache_folder() -> Option<PathBuf> {
    cache_folder_of(env::consts::OS, |name| env::var_os(name))
}

/// Makes `bytes` the whole of the file at `path`, in a folder that is made if need be: others read the old
/// file or the new one.
///
/// # Errors
/// Of `operation`, where the folder or the file cannot be written; what was at `path` stays.
pub fn keep(operation: &'static str, path: &Path, bytes: &[u8]) -> Result<()> {
    let at_fault = |error| file_error(operation, path, FormatError::Io(error));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at_fault)?;
    }
    replace_file(operation, path, |mut file| {
        file.write_all(bytes).map_err(at_fault)?;
        Ok(file)
    })
}

fn cache_folder_of(system: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("BITNET_CACHE_DIR") {
        return (folder.as_os_str() != "none").then_some(folder);
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

/// Where the variables put `work`.
pub(crate) fn device(work: &Work) -> Result<Device> {
    match (named_device()?, strategy()?) {
        (Some(device), _) => Ok(device),
        (None, Some(strategy)) => strategy.choose(work),
        (None, None) => Ok(Device::best()),
    }
}

fn named_device() -> Result<Option<Device>> {
    parsed("BITNET_DEVICE")
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &'static str) -> Result<Option<T>> {
    let value = env::var_os(name).unwrap_or_default();
    match value.to_string_lossy().trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|reason| refused(name, &reason)),
    }
}

fn refused(name: &'static str, reason: &dyn std::fmt::Display) -> TensorOpError {
    error!(ComputationError, "environment", &[], "{name}: {reason}")
}

/// The value, or the default with a warning.
pub(super) fn or_default<T: Default>(value: Result<Option<T>>) -> T {
    value
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "ignored");
            None
        })
        .unwrap_or_default()
}

/// Warns of what the kernels had to ignore.
pub(super) fn warn_of_ignored() {
    let threads = parallel::threads_from_environment().err();
    for reason in threads.into_iter().chain(Cpu::from_environment().err()) {
        tracing::warn!(%reason, "ignored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_the_system() {
        let with = |system, variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(other, _)| *other == name);
            cache_folder_of(system, |name| find(name).map(|(_, value)| OsString::from(value)))
        };
        let some = |path: &str| Some(PathBuf::from(path));
        assert_eq!(with("linux", &[("HOME", "/h")]), some("/h/.cache/bitnet-rust"));
        let xdg = [("HOME", "/h"), ("XDG_CACHE_HOME", "/c")];
        assert_eq!(with("linux", &xdg), some("/c/bitnet-rust"));
        let relative = [("HOME", "/h"), ("XDG_CACHE_HOME", "c")];
        assert_eq!(with("linux", &relative), some("/h/.cache/bitnet-rust"));
        assert_eq!(with("macos", &[("HOME", "/h")]), some("/h/Library/Caches/bitnet-rust"));
        assert_eq!(with("linux", &[("BITNET_CACHE_DIR", "/x"), ("HOME", "/h")]), some("/x"));
        assert_eq!(with("linux", &[("BITNET_CACHE_DIR", "none"), ("HOME", "/h")]), None);
        assert_eq!(with("windows", &[("HOME", "/h")]), None);
    }
}
