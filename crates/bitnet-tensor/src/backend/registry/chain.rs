//! A list that is read on every operation and written a few times in the life of a process: readers
//! take no lock and share no counter, and what they found stays valid, because nothing is removed.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::sync::{AtomicBool, Mutex, OnceLock};

/// Items in the order in which they were added. One that was replaced is skipped from then on; its
/// memory stays, a few words for each registration.
pub(super) struct Chain<T> {
    pub(super) first: Link<T>,
    pub(super) writing: Mutex<()>,
}

pub(super) type Link<T> = OnceLock<Box<Node<T>>>;

pub(super) struct Node<T> {
    item: T,
    is_withdrawn: AtomicBool,
    next: Link<T>,
}

impl<T> Chain<T> {
    /// Adds `item` at the end in place of those that it `replaces`. A reader finds the old one or the
    /// new one at any moment, perhaps both, never neither.
    pub(super) fn replace(&self, item: T, replaces: impl Fn(&T) -> bool) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut end, mut old) = (&self.first, Vec::new());
        while let Some(node) = end.get() {
            if replaces(&node.item) {
                old.push(node);
            }
            end = &node.next;
        }
        let node = Node { item, is_withdrawn: AtomicBool::new(false), next: OnceLock::new() };
        let added = end.set(Box::new(node)).is_ok();
        debug_assert!(added, "only one thread writes at a time");
        for node in old {
            // Who sees this sees what was added before.
            node.is_withdrawn.store(true, Release);
        }
    }

    /// The items, without those that were replaced.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut link = &self.first;
        std::iter::from_fn(move || {
            loop {
                let node = link.get()?;
                // Before the next one is looked for: what took this one's place is behind it.
                let is_withdrawn = node.is_withdrawn.load(Acquire);
                link = &node.next;
                if !is_withdrawn {
                    return Some(&node.item);
                }
            }
        })
    }
}
