//! Where work is done that may be done anywhere: a model that is loaded, and operations whose
//! operands are on the host, when a strategy is set for them.

mod cache;
mod costs;
mod work;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::registry;
use crate::error::{Result, bail};
use crate::{Device, TensorOpError};

pub use costs::{CostModel, DeviceCosts};
pub use work::{Work, WorkClass};

/// How a device is chosen.
///
/// Written as `highest-priority`, `best-measured`, `low-latency`, `low-memory`, or as the name of the
/// device that is forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SelectionStrategy {
    /// The first of the chain: the order in which backends are registered.
    #[default]
    HighestPriority,
    /// The one that is done first, by what was measured: the time to begin, to compute, and to bring
    /// operands there and results back.
    BestMeasured,
    /// The one that begins first: what it takes to start an operation and to bring its operands.
    LowLatency,
    /// The one that needs no second copy of what is on the host: the host itself.
    LowMemory,
    /// This one.
    Forced(Device),
}

impl SelectionStrategy {
    /// The device for `work`. The first choice that needs measurements makes them, or reads those of
    /// an earlier run from the user's folder for caches.
    ///
    /// ```
    /// use bitnet_tensor::Device;
    /// use bitnet_tensor::backend::{SelectionStrategy, Work, WorkClass};
    /// let work = Work { flops: 1 << 30, ..Work::new(WorkClass::Product) };
    /// assert_eq!(SelectionStrategy::LowMemory.choose(&work)?, Device::CPU);
    /// assert_eq!("low-latency".parse(), Ok(SelectionStrategy::LowLatency));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DeviceMismatch`](TensorOpError::DeviceMismatch) when the forced device is not there or lost.
    pub fn choose(self, work: &Work) -> Result<Device> {
        match self {
            Self::HighestPriority => Ok(Device::best()),
            Self::LowMemory => Ok(Device::CPU),
            Self::Forced(device) if registry::is_lost(device)? => {
                bail!(DeviceMismatch, "device", &[], "{device} is lost")
            }
            Self::Forced(device) => Ok(device),
            Self::BestMeasured => Ok(least(|costs, device| costs.seconds(device, work))),
            Self::LowLatency => Ok(least(|costs, device| costs.seconds_to_begin(device, work))),
        }
    }
}

/// The device with the least of what was measured; the CPU when nothing else could be.
fn least(seconds: impl Fn(&CostModel, Device) -> Option<f64>) -> Device {
    let devices = registry::devices_for_work();
    if devices.len() < 2 {
        return Device::CPU;
    }
    let mut model = model();
    if devices.iter().any(|&device| model.costs(device).is_none()) {
        *model = CostModel::of_this_machine();
    }
    let known = devices.into_iter().filter_map(|device| Some((seconds(&model, device)?, device)));
    known.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(Device::CPU, |(_, device)| device)
}

/// What this process knows of its devices.
fn model() -> MutexGuard<'static, CostModel> {
    static MODEL: OnceLock<Mutex<CostModel>> = OnceLock::new();
    let model = MODEL.get_or_init(Mutex::default);
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets this process go by `model` from now on, instead of measuring.
pub fn set_cost_model(known: CostModel) {
    *model() = known;
}

static IS_SET: AtomicBool = AtomicBool::new(false);
static STRATEGY: Mutex<Option<SelectionStrategy>> = Mutex::new(None);

/// Lets `strategy` choose, operation by operation, where operations with all operands on the host are
/// executed; their results come back to the host. `None`, as in the beginning, executes them where
/// the operands are. Operations that write over an operand or into given storage stay where that is.
pub fn set_selection_strategy(strategy: Option<SelectionStrategy>) {
    *STRATEGY.lock().unwrap_or_else(PoisonError::into_inner) = strategy;
    IS_SET.store(strategy.is_some(), Relaxed);
}

/// The device that the process's strategy has for work on the host, when that is another one.
#[inline]
pub(super) fn away_from_host(work: impl FnOnce() -> Option<Work>) -> Option<Device> {
    if IS_SET.load(Relaxed) { chosen(&work()?) } else { None }
}

#[cold]
fn chosen(work: &Work) -> Option<Device> {
    let strategy = (*STRATEGY.lock().unwrap_or_else(PoisonError::into_inner))?;
    strategy.choose(work).ok().filter(|&device| device != Device::CPU)
}

impl FromStr for SelectionStrategy {
    type Err = TensorOpError;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "highest-priority" => Self::HighestPriority,
            "best-measured" => Self::BestMeasured,
            "low-latency" => Self::LowLatency,
            "low-memory" => Self::LowMemory,
            name => match Device::parse(name) {
                Ok(device) => Self::Forced(device),
                Err(_) => bail!(
                    ComputationError,
                    "strategy",
                    &[],
                    "{name:?} is none of highest-priority, best-measured, low-latency, low-memory, and no device"
                ),
            },
        })
    }
}

impl fmt::Display for SelectionStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HighestPriority => f.pad("highest-priority"),
            Self::BestMeasured => f.pad("best-measured"),
            Self::LowLatency => f.pad("low-latency"),
            Self::LowMemory => f.pad("low-memory"),
            Self::Forced(device) => device.fmt(f),
        }
    }
}
