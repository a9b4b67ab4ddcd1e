//! What the machine is: processor, instruction sets, memory. What a system does not tell is absent.

use bitnet_kernels::{Cpu, parallel};

use crate::Device;
use crate::backend::DeviceInfo;

/// What is known of the host's processor, as a device that computes with the instructions of `cpu`.
pub(super) fn info(device: Device, cpu: Cpu) -> DeviceInfo {
    let names = Cpu::available().iter().map(|cpu| cpu.isa().name().to_owned());
    DeviceInfo {
        name: cpu_name(),
        cores: std::thread::available_parallelism().ok().map(usize::from),
        threads: Some(parallel::num_threads()),
        instruction_set: Some(cpu.isa().name().to_owned()),
        instruction_sets: names.collect(),
        memory_bytes: kibibytes("/proc/meminfo", "MemTotal"),
        available_memory_bytes: kibibytes("/proc/meminfo", "MemAvailable"),
        ..DeviceInfo::new(device)
    }
}

/// The name of the processor.
fn cpu_name() -> Option<String> {
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
        let info = info(Device::CPU, Cpu::best());
        assert!(info.memory_bytes > info.available_memory_bytes);
        assert!(info.available_memory_bytes > Some(0));
    }
}
