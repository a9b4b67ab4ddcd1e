//! What the system tells of this process and of the machine.

/// The most memory that this process occupied so far, in bytes (Linux).
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    peak_memory_bytes_of(std::process::id())
}

/// Has [`peak_memory_bytes`] count from now on; whether the system does that.
pub(crate) fn forget_peak_memory() -> bool {
    // proc(5): "Write 5 … to reset the peak resident set size".
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The most memory that a process occupied so far, in bytes; none of one that has ended (Linux).
pub(crate) fn peak_memory_bytes_of(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// How many threads wanted to run at a time, on average over the last minute (Linux).
pub(crate) fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells() {
        assert!(super::peak_memory_bytes() > Some(0));
        let other = super::peak_memory_bytes_of(std::os::unix::process::parent_id());
        assert!(other > Some(0));
        assert!(super::load_average() >= Some(0.0));
    }
}
