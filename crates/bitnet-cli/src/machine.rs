//! What the machine is: processor, instruction sets, memory. What a system does not tell is absent.

use bitnet::kernels::Cpu;

/// The name of the processor.
pub(crate) fn cpu_name() -> Option<String> {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        let brand = raw_cpuid::CpuId::new().get_processor_brand_string();
        let name = brand.map(|brand| brand.as_str().trim().to_owned());
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            return Some(name);
        }
    }
    field("/proc/cpuinfo", "model name")
}

/// Cores that this process may use.
pub(crate) fn cores() -> Option<usize> {
    std::thread::available_parallelism().ok().map(usize::from)
}

/// Names of the instruction set tiers that this processor has, the portable one first.
pub(crate) fn instruction_sets() -> Vec<&'static str> {
    Cpu::available().iter().map(|cpu| cpu.isa().name()).collect()
}

/// The memory of the machine in bytes (Linux).
pub(crate) fn memory_bytes() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemTotal")
}

/// Memory that could be used now without swapping, in bytes (Linux).
pub(crate) fn available_memory_bytes() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemAvailable")
}

/// The most memory that this process occupied so far, in bytes (Linux).
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM")
}

fn kibibytes(file: &str, key: &str) -> Option<u64> {
    parse_kibibytes(&field(file, key)?)
}

fn parse_kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The value of the first line `key: value` of a file.
fn field(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let values = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = values.filter(|(name, _)| name.trim() == key);
    values.next().map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kibibytes_are_bytes() {
        assert_eq!(parse_kibibytes("12 kB"), Some(12_288));
        assert_eq!(parse_kibibytes("12"), None);
        assert_eq!(parse_kibibytes("18446744073709551615 kB"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells() {
        assert!(memory_bytes() > available_memory_bytes());
        assert!(peak_memory_bytes() > Some(0));
    }
}
