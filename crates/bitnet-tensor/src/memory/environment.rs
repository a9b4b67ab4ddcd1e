//! The configuration of the process's pool by environment variables.

use super::PoolConfig;
use super::bytes::parse_bytes;
use crate::error::{Result, error};

impl PoolConfig {
    /// What the environment asks for, and otherwise what [`new`](Self::new) says:
    ///
    /// - `BITNET_MEMORY_LIMIT`: [`limit_bytes`](Self::limit_bytes), as
    ///   [`parse_bytes`](super::parse_bytes) reads it: `2GiB`;
    /// - `BITNET_MEMORY_CACHE`: [`cache_bytes`](Self::cache_bytes);
    /// - `BITNET_MEMORY_TRACKING`: [`tracking`](Self::tracking), `1` or `0`.
    ///
    /// ```
    /// use bitnet_tensor::memory::PoolConfig;
    /// // Nothing is set here.
    /// assert_eq!(PoolConfig::from_env()?, PoolConfig::new());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`MemoryError`](crate::TensorOpError::MemoryError) for a value that says nothing.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let bytes = |name: &'static str| {
            let value = variable(name).filter(|value| !value.trim().is_empty());
            value.map(|value| parse_bytes(&value).ok_or_else(|| refused(name, &value))).transpose()
        };
        let mut config = Self::new();
        config.limit_bytes = bytes("BITNET_MEMORY_LIMIT")?;
        config.cache_bytes = bytes("BITNET_MEMORY_CACHE")?.unwrap_or(config.cache_bytes);
        let name = "BITNET_MEMORY_TRACKING";
        config.tracking = match variable(name).as_deref().map(str::trim) {
            None | Some("" | "0") => false,
            Some("1") => true,
            Some(value) => return Err(refused(name, value)),
        };
        Ok(config)
    }
}

fn refused(name: &'static str, value: &str) -> crate::TensorOpError {
    let expected = if name.ends_with("TRACKING") { "0 or 1" } else { "bytes, as 512MiB or 2G" };
    error!(MemoryError, name, &[], "{value:?} is not {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> std::result::Result<PoolConfig, String> {
        let find = |name: &str| variables.iter().find(|(other, _)| *other == name);
        PoolConfig::from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn variables_configure() {
        let empty = [("BITNET_MEMORY_LIMIT", ""), ("BITNET_MEMORY_TRACKING", "0")];
        assert_eq!(config(&empty), Ok(PoolConfig::new()));
        let set = [
            ("BITNET_MEMORY_LIMIT", "2GiB"),
            ("BITNET_MEMORY_CACHE", "0"),
            ("BITNET_MEMORY_TRACKING", "1"),
        ];
        let expected =
            PoolConfig::new().with_limit_bytes(2 << 30).with_cache_bytes(0).with_tracking(true);
        assert_eq!(config(&set), Ok(expected));
        for (name, value, message) in [
            (
                "BITNET_MEMORY_LIMIT",
                "much",
                "BITNET_MEMORY_LIMIT: \"much\" is not bytes, as 512MiB or 2G",
            ),
            (
                "BITNET_MEMORY_CACHE",
                "-1",
                "BITNET_MEMORY_CACHE: \"-1\" is not bytes, as 512MiB or 2G",
            ),
            ("BITNET_MEMORY_TRACKING", "yes", "BITNET_MEMORY_TRACKING: \"yes\" is not 0 or 1"),
        ] {
            assert_eq!(config(&[(name, value)]), Err(message.to_owned()));
        }
    }
}
