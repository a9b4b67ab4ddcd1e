//! Models of what threads share: loom runs them in every order in which the threads can meet.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p bitnet-tensor --test loom_memory --target-dir target/loom`
//!
//! The files of the pool are compiled here once more, with loom's locks and atomics.
#![cfg(loom)]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "parts of the pool's files")]

use std::sync::atomic::Ordering::Relaxed;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

#[path = "../src/memory/central.rs"]
mod central;
#[path = "../src/memory/span.rs"]
mod span;
#[path = "../src/memory/usage.rs"]
mod usage;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize};
}

/// One class of large blocks, so that a page is a slab of two.
mod size_class {
    pub(crate) const CLASS_COUNT: usize = 1;

    pub(crate) const fn class_size(_class: usize) -> usize {
        2048
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Takes a block if there is one, uses it as its only holder, and returns it.
fn use_a_block(central: &central::Central, first: usize, bytes: &[UnsafeCell<()>; 2]) -> bool {
    let mut block = None;
    central.take(0, 1, |span| block = Some(span));
    let Some(block) = block else { return false };
    // Loom reports two holders of one block here, and writes that the next holder may not see.
    bytes[(block.address() - first) / 2048].with_mut(|_| ());
    central.put(0, std::iter::once(block));
    true
}

#[test]
fn a_block_has_one_holder() {
    check(|| {
        let (region, span) = span::Region::map(span::PAGE, false).expect("memory");
        let first = span.address();
        let shared =
            Arc::new((central::Central::new(), [UnsafeCell::new(()), UnsafeCell::new(())]));
        shared.0.add(0, span);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    // The slab may be out while the third thread has it.
                    use_a_block(&shared.0, first, &shared.1);
                })
            })
            .collect();
        // The pool may take the slab away, but only while nobody has a block of it.
        if let Some(slab) = shared.0.remove_whole(0).pop() {
            shared.1.iter().for_each(|byte| byte.with_mut(|_| ()));
            shared.0.add(0, slab);
        }
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(use_a_block(&shared.0, first, &shared.1), "no block is lost");
        let whole = shared.0.remove_whole(0).pop().expect("every block is back");
        region.unmap(whole);
    });
}

/// What `Storage` does: views share a reference count, and storage is written by whoever finds to
/// be alone (`BitNetTensor::is_unique`, then `Arc::get_mut`).
#[test]
fn storage_is_written_only_by_its_only_holder() {
    check(|| {
        let mut tensor = Arc::new(UnsafeCell::new(()));
        let views: Vec<_> = (0..2)
            .map(|_| {
                let mut view = tensor.clone();
                thread::spawn(move || {
                    view.with(|_| ()); // somebody else's write would be a race
                    if Arc::strong_count(&view) == 1
                        && let Some(alone) = Arc::get_mut(&mut view)
                    {
                        alone.with_mut(|_| ());
                    }
                })
            })
            .collect();
        if Arc::strong_count(&tensor) == 1
            && let Some(alone) = Arc::get_mut(&mut tensor)
        {
            alone.with_mut(|_| ());
        }
        drop(tensor);
        views.into_iter().for_each(|view| view.join().expect("no panic"));
    });
}

#[test]
fn use_adds_up_and_its_peak_is_bounded() {
    check(|| {
        let usage = Arc::new(usage::Usage::new(1));
        let threads: Vec<_> = [3, 5]
            .into_iter()
            .map(|bytes| {
                let usage = usage.clone();
                thread::spawn(move || {
                    usage.report(bytes, bytes);
                    usage.report(-bytes, 0);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(usage.live(), 0);
        assert!([5, 8].contains(&usage.peak()), "{}", usage.peak());
        usage.reset_peak();
        assert_eq!(usage.peak(), 0);
    });
}
