//! The bound on memory: what an input may make the program allocate at once.

use peak_alloc::PeakAlloc;

/// What an input may take beyond its own size.
pub const LIMIT: usize = 64 << 20;

/// Runs a target on an input and panics where it allocated more than allowed.
///
/// # Panics
/// Above the limit, and where the target does.
pub fn within(allocated: &PeakAlloc, data: &[u8], target: fn(&[u8])) {
    let before = allocated.current_usage();
    allocated.reset_peak_usage();
    target(data);
    let peak = allocated.peak_usage().saturating_sub(before);
    assert!(
        peak <= LIMIT + data.len(),
        "{peak} bytes allocated for an input of {} bytes",
        data.len()
    );
}
