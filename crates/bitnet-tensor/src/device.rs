//! The name of the place where a tensor's elements live.
//!
//! A device is only a name: what it can do is the business of the backend registered for it
//! (see [`registry`](crate::backend::registry)), so that this crate names no accelerator.

use std::fmt;

/// A device: the kind that a backend announced, and an index among its devices.
///
/// ```
/// use bitnet_tensor::Device;
/// assert_eq!(Device::CPU.to_string(), "cpu");
/// assert_eq!(Device::new("cuda", 1).to_string(), "cuda:1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    kind: &'static str,
    index: u32,
}

impl Device {
    /// The host processor and its memory; always present.
    pub const CPU: Device = Device { kind: "cpu", index: 0 };

    /// Device `index` of `kind`, a lower-case word.
    pub const fn new(kind: &'static str, index: u32) -> Self {
        Self { kind, index }
    }

    /// The kind of device: `cpu`, or what a backend calls its own.
    pub const fn kind(self) -> &'static str {
        self.kind
    }

    /// The index among the devices of its kind.
    pub const fn index(self) -> u32 {
        self.index
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::CPU {
            f.write_str(self.kind)
        } else {
            write!(f, "{}:{}", self.kind, self.index)
        }
    }
}
