//! Ctrl-C: it ends the text that is being generated, and only when there is none the program.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const GENERATING: u8 = 1;
const INTERRUPTED: u8 = 2;
/// Between the answers of a conversation.
const CONVERSING: u8 = 3;

static STATE: AtomicU8 = AtomicU8::new(IDLE);

/// The state that follows a generation.
static REST: AtomicU8 = AtomicU8::new(IDLE);

/// The exit status of an interrupted program, by convention 128 + SIGINT.
pub(crate) const STATUS: u8 = 130;

/// Begins to listen.
pub(crate) fn install() {
    let handler = || {
        let step =
            STATE.compare_exchange(GENERATING, INTERRUPTED, Ordering::SeqCst, Ordering::SeqCst);
        if step.is_err_and(|state| state != CONVERSING) {
            // Nothing to finish, or the second time: the person means it.
            std::process::exit(i32::from(STATUS));
        }
    };
    // Where there are no signals to be had, Ctrl-C does what the system does.
    let _ = ctrlc::set_handler(handler);
}

/// From now on Ctrl-C without a generation is dropped: the line editor sees it as a key, and one
/// that comes just before or just after an answer must not end the conversation.
pub(crate) fn converse() {
    REST.store(CONVERSING, Ordering::SeqCst);
    STATE.store(CONVERSING, Ordering::SeqCst);
}

/// While it lives, Ctrl-C is asked for with [`is_requested`](Self::is_requested) instead of ending
/// the program.
pub(crate) struct Generating(());

impl Generating {
    /// Forgets an earlier Ctrl-C.
    pub(crate) fn begin() -> Self {
        STATE.store(GENERATING, Ordering::SeqCst);
        Self(())
    }

    /// Whether to go on: for work that asks after each step.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether Ctrl-C was pressed since the beginning.
    pub(crate) fn is_requested(&self) -> bool {
        STATE.load(Ordering::SeqCst) == INTERRUPTED
    }
}

impl Drop for Generating {
    fn drop(&mut self) {
        STATE.store(REST.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}
