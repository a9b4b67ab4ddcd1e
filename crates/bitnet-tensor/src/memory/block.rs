//! [`PoolBlock`]: a block of memory on loan from a pool.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::clock::{self, Start};
use super::front::Held;
use super::shared::Shared;

/// A block of memory on loan from a pool, as a slice of bytes; dropping it returns it. It keeps its
/// pool's memory alive, whether or not somebody still has a handle on the pool.
pub struct PoolBlock {
    /// `None` only while it is dropped.
    held: Option<Box<Held>>,
}

impl PoolBlock {
    #[inline]
    pub(super) fn new(held: Box<Held>) -> Self {
        held.span.allow_touching(held.length);
        Self { held: Some(held) }
    }
}

impl Deref for PoolBlock {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.held {
            Some(held) => held.span.bytes(held.length),
            None => &[],
        }
    }
}

impl DerefMut for PoolBlock {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.held {
            Some(held) => held.span.bytes_mut(held.length),
            None => &mut [],
        }
    }
}

impl fmt::Debug for PoolBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolBlock({} bytes at {:p})", self.len(), self.as_ptr())
    }
}

impl Drop for PoolBlock {
    #[inline]
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        held.span.allow_touching(0);
        if clock::is_due() {
            release_timed(held);
        } else {
            Shared::release(held);
        }
    }
}

#[cold]
fn release_timed(held: Box<Held>) {
    let (shared, start) = (held.shared.clone(), Start::now());
    Shared::release(held);
    shared.clock.stop(&start);
}
