//! The registry's list in every order in which threads can meet, by loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --manifest-path crates/bitnet-tensor/loom/Cargo.toml`
//!
//! The list is compiled here once more, with loom's locks and atomics.
#![cfg(loom)]
#![allow(unreachable_pub, reason = "parts of the crate's files")]

use loom::sync::Arc;
use loom::thread;

#[path = "../src/backend/registry/chain.rs"]
mod chain;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::AtomicBool;
    use loom::sync::atomic::AtomicUsize;
    use loom::sync::atomic::Ordering::{Acquire, Release};

    /// The standard library's, whose contents are there for a reader when loom says that the reader
    /// can know of them.
    pub(super) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        is_set: AtomicUsize,
    }

    impl<T> OnceLock<T> {
        pub(super) fn new() -> Self {
            Self { value: std::sync::OnceLock::new(), is_set: AtomicUsize::new(0) }
        }

        pub(super) fn get(&self) -> Option<&T> {
            if self.is_set.load(Acquire) == 1 { self.value.get() } else { None }
        }

        pub(super) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.is_set.store(1, Release);
            Ok(())
        }
    }
}

/// A device by its number, and which registration of it this is.
type Item = (u8, u8);

fn find(chain: &chain::Chain<Item>, device: u8) -> Option<u8> {
    chain.iter().find(|item| item.0 == device).map(|item| item.1)
}

#[test]
fn a_registered_device_is_always_found() {
    loom::model(|| {
        let chain = chain::Chain { first: sync::OnceLock::new(), writing: sync::Mutex::new(()) };
        let chain = Arc::new(chain);
        chain.replace((1, 0), |old: &Item| old.0 == 1);
        let replacing = {
            let chain = chain.clone();
            thread::spawn(move || chain.replace((1, 1), |old: &Item| old.0 == 1))
        };
        let adding = {
            let chain = chain.clone();
            thread::spawn(move || chain.replace((2, 0), |old: &Item| old.0 == 2))
        };
        // The old one or the new one, never neither; and never the old one after the new one.
        let first = find(&chain, 1).expect("there is one at any moment");
        let second = find(&chain, 1).expect("there is one at any moment");
        assert!(second >= first);
        replacing.join().expect("no panic");
        adding.join().expect("no panic");
        let all: Vec<Item> = chain.iter().copied().collect();
        assert!(all == [(1, 1), (2, 0)] || all == [(2, 0), (1, 1)], "{all:?}");
    });
}
