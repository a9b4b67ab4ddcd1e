//! What devices did in the time of a recording, by their own clocks: a device that is asked to do
//! something goes on with it after the operation's span has ended, and may do several at once.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use crate::Device;

/// A kernel that a device executed.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelSpan {
    /// The device.
    pub device: Device,
    /// What the backend calls the kernel.
    pub name: &'static str,
    /// The groups of threads that executed it.
    pub workgroups: u64,
    /// When it began, counted from the start of the recording. The clocks of device and host are
    /// brought together when the host waits for the device: by some microseconds this may be late.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
}

/// Count and time of the kernels of one name and size on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelMetrics {
    /// The device.
    pub device: Device,
    /// What the backend calls the kernel.
    pub name: &'static str,
    /// The groups of threads that executed each.
    pub workgroups: u64,
    /// How often.
    pub count: u64,
    /// The time of all together.
    pub time: Duration,
}

impl KernelMetrics {
    /// Of `spans`, by device, name and size, the most expensive first.
    pub fn of<'a>(spans: impl IntoIterator<Item = &'a KernelSpan>) -> Vec<Self> {
        let mut sums = HashMap::new();
        for &KernelSpan { device, name, workgroups, duration, .. } in spans {
            let none = Self { device, name, workgroups, count: 0, time: Duration::ZERO };
            let sum = sums.entry((device, name, workgroups)).or_insert(none);
            sum.count += 1;
            sum.time += duration;
        }
        let mut sums: Vec<Self> = sums.into_values().collect();
        sums.sort_by_key(|sum| (Reverse(sum.time), sum.name, sum.workgroups));
        sums
    }

    /// Whether `other` is of the same kernels, in another recording or another part of one.
    pub fn is_of_same(&self, other: &Self) -> bool {
        let key = |of: &Self| (of.device, of.name, of.workgroups);
        key(self) == key(other)
    }
}
