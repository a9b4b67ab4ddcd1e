//! Ctrl-C: it ends the text that is being generated, and only when there is none the program.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const GENERATING: u8 = 1;
const INTERRUPTED: u8 = 2;
/// Between the answers of a conversation.
const CONVERSING: u8 = 3;
/// While a file is written that is not whole yet, and then while it is removed.
const WRITING: u8 = 4;
const STOPPING: u8 = 5;

static STATE: AtomicU8 = AtomicU8::new(IDLE);

/// The state that follows a generation.
static REST: AtomicU8 = AtomicU8::new(IDLE);

/// The exit status of an interrupted program, by convention 128 + SIGINT.
pub(crate) const STATUS: u8 = 130;

/// Begins to listen.
pub(crate) fn install() {
    let handler = || {
        let next = |state| match state {
            GENERATING => Some(INTERRUPTED),
            WRITING => Some(STOPPING),
            _ => None,
        };
        let step = STATE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        if step.is_err_and(|state| !matches!(state, CONVERSING | STOPPING)) {
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

    /// The same for work that leaves something half done behind: another Ctrl-C does not end the
    /// program before that is removed.
    pub(crate) fn begin_writing() -> Self {
        STATE.store(WRITING, Ordering::SeqCst);
        Self(())
    }

    /// Whether to go on: for work that asks after each step.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether Ctrl-C was pressed since the beginning.
    pub(crate) fn is_requested(&self) -> bool {
        matches!(STATE.load(Ordering::SeqCst), INTERRUPTED | STOPPING)
    }
}

impl Drop for Generating {
    fn drop(&mut self) {
        STATE.store(REST.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}
