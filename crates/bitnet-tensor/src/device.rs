//! The name of the place where a tensor's elements live.
//!
//! A device is only a name: what it can do is the business of the backend registered for it
//! (see [`registry`](crate::backend::registry)), so that this crate names no accelerator.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::backend::{DeviceInfo, registry};
use crate::error::{Result, error};
use crate::{TensorOpError, backend};

/// A device: the kind that a backend announced, and an index among its devices.
///
/// ```
/// use bitnet_tensor::Device;
/// assert_eq!(Device::CPU.to_string(), "cpu");
/// assert_eq!(Device::new("cuda", 1).to_string(), "cuda:1");
/// ```
#[derive(Debug, Clone, Copy, Eq)]
pub struct Device {
    kind: &'static str,
    index: u32,
}

impl PartialEq for Device {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Every operation compares devices, most of them with the name at the same place.
        self.index == other.index
            && (std::ptr::eq(self.kind, other.kind) || self.kind == other.kind)
    }
}

impl Hash for Device {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, self.index).hash(state);
    }
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

/// # Finding devices
impl Device {
    /// The device of that name: `cpu`, `cuda:0`, `cuda` for the first of its kind, `gpu` for the best
    /// that is not the CPU, `best` for the best of all. Where there is no other, `gpu` is a stand-in
    /// that computes in software; `best` never is.
    ///
    /// ```
    /// use bitnet_tensor::Device;
    /// assert_eq!(Device::parse("cpu")?, Device::CPU);
    /// let error = Device::parse("abacus").unwrap_err();
    /// assert!(error.to_string().starts_with("device: there is no \"abacus\" here; there is: "));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DeviceMismatch`](TensorOpError::DeviceMismatch) with a list of what there is.
    pub fn parse(name: &str) -> Result<Self> {
        let devices = registry::devices();
        let (kind, index) = match name.split_once(':') {
            Some((kind, index)) => (kind, index.parse::<u32>().ok()),
            None => (name, Some(0)),
        };
        let named = |device: &&Device| device.kind == kind && Some(device.index) == index;
        let found = match name {
            "best" => Some(Self::best()),
            "gpu" => {
                let others = |device: &Self| *device != Self::CPU;
                registry::devices_for_work().into_iter().find(others).or_else(registry::software)
            }
            _ => devices.iter().find(named).copied(),
        };
        found.ok_or_else(|| {
            let names: Vec<_> = devices.iter().map(Device::to_string).collect();
            let names = names.join(", ");
            error!(DeviceMismatch, "device", &[], "there is no {name:?} here; there is: {names}")
        })
    }

    /// The first of the chain that is not lost: the fastest, as backends are registered. The CPU when
    /// there is no other.
    ///
    /// ```
    /// use bitnet_tensor::Device;
    /// assert_eq!(Device::best(), Device::CPU); // no backend is registered here
    /// ```
    pub fn best() -> Self {
        registry::devices_for_work().first().copied().unwrap_or(Self::CPU)
    }

    /// Every device and what is known of it, in the order of the chain, the CPU last.
    ///
    /// ```
    /// use bitnet_tensor::Device;
    /// let cpu = Device::list().pop().expect("the CPU is always there");
    /// assert_eq!(cpu.device, Device::CPU);
    /// assert!(cpu.instruction_sets.contains(&"scalar".to_owned()));
    /// ```
    pub fn list() -> Vec<DeviceInfo> {
        registry::infos()
    }

    /// The bytes per second at which the device reads its memory, measured now.
    ///
    /// # Errors
    /// [`DeviceMismatch`](TensorOpError::DeviceMismatch) when there is no such device, and what it
    /// reports.
    pub fn measure_bandwidth(self) -> Result<f64> {
        registry::backend(self)?.measure_bandwidth()
    }

    /// Where the user wants to compute: on `BITNET_DEVICE`, which is a name as [`parse`](Self::parse)
    /// takes, else where `BITNET_STRATEGY` puts `work`, else on the [`best`](Self::best).
    ///
    /// # Errors
    /// When a variable says nothing that is here: its name, its value and what there is.
    pub fn preferred(work: &backend::Work) -> Result<Self> {
        backend::environment::device(work)
    }
}

impl FromStr for Device {
    type Err = TensorOpError;

    fn from_str(name: &str) -> Result<Self> {
        Self::parse(name)
    }
}

impl serde::Serialize for Device {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
