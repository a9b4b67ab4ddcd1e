//! [`PoolBlock`]: a block of memory on loan from a pool.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use super::clock;
use super::front::Held;
use super::shared::{Kind, Shared};

/// A block of memory on loan from a pool, as a slice of bytes; dropping it returns it. It keeps its
/// pool's memory alive, whether or not somebody still has a handle on the pool.
pub struct PoolBlock {
    /// `None` only while it is dropped.
    held: Option<Held>,
    length: usize,
    kind: Kind,
    tracked: bool,
}

impl PoolBlock {
    #[inline]
    pub(super) fn new(held: Held, kind: Kind, length: usize) -> Self {
        held.span.allow_touching(length);
        Self { held: Some(held), length, kind, tracked: false }
    }

    /// The same block, noted in its pool's records.
    #[cold]
    pub(super) fn tracked(mut self, caller: &'static Location<'static>) -> Self {
        if let Some(Held { span, shared }) = &self.held {
            shared.tracker.note(span.address(), self.length, caller);
            self.tracked = true;
        }
        self
    }
}

impl Deref for PoolBlock {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.held {
            Some(held) => held.span.bytes(self.length),
            None => &[],
        }
    }
}

impl DerefMut for PoolBlock {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.held {
            Some(held) => held.span.bytes_mut(self.length),
            None => &mut [],
        }
    }
}

impl fmt::Debug for PoolBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolBlock({} bytes at {:p})", self.length, self.as_ptr())
    }
}

impl Drop for PoolBlock {
    #[inline]
    fn drop(&mut self) {
        let Some(held) = &self.held else { return };
        held.span.allow_touching(0);
        if self.tracked {
            held.shared.tracker.forget(held.span.address());
        }
        match clock::start() {
            None => Shared::release(&mut self.held, self.kind, self.length),
            Some(start) => {
                let shared = held.shared.clone();
                Shared::release(&mut self.held, self.kind, self.length);
                shared.clock.stop(&start);
            }
        }
    }
}
