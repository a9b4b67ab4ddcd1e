//! Which pool a thread's tensors come from.

use std::cell::RefCell;

use super::HybridMemoryPool;

thread_local! {
    static SCOPES: RefCell<Vec<HybridMemoryPool>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f`; the host tensors that this thread makes meanwhile come from `pool`. They may outlive
/// the call, and the pool.
///
/// ```
/// use bitnet_tensor::memory::{HybridMemoryPool, with_pool};
/// use bitnet_tensor::{BitNetDType, BitNetTensor};
/// let pool = HybridMemoryPool::new();
/// let x = with_pool(&pool, || BitNetTensor::zeros([256], BitNetDType::F32))?;
/// assert_eq!(pool.stats().current_bytes, 1024);
/// drop(x);
/// assert_eq!(pool.stats().current_bytes, 0);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
pub fn with_pool<R>(pool: &HybridMemoryPool, f: impl FnOnce() -> R) -> R {
    /// Ends the scope, also when `f` panics.
    struct Scope;
    impl Drop for Scope {
        fn drop(&mut self) {
            // The pool may go with its scope: not while the list is borrowed.
            let ended = SCOPES.try_with(|scopes| scopes.borrow_mut().pop());
            drop(ended);
        }
    }
    // Where the thread ends, in the destructor of another thread-local value, there are no scopes.
    let begun = SCOPES.try_with(|scopes| scopes.borrow_mut().push(pool.clone()));
    let _scope = begun.ok().map(|()| Scope);
    f()
}

/// Calls `f` with the pool of the innermost [`with_pool`] on this thread, or else with `pool`.
#[inline]
pub(crate) fn with_current<R>(
    pool: &HybridMemoryPool,
    f: impl FnOnce(&HybridMemoryPool) -> R,
) -> R {
    let scoped = SCOPES.try_with(|scopes| scopes.borrow().last().cloned());
    match scoped.ok().flatten() {
        Some(pool) => f(&pool),
        None => f(pool),
    }
}
