//! `bitnet devices`: what this machine can compute on.

use std::process::ExitCode;

use anyhow::Result;
use bitnet::kernels::Cpu;
use bitnet::tensor::backend::registry;
use clap::Args;
use serde::Serialize;

use crate::args::ThreadArguments;
use crate::{bandwidth, machine, output};

/// List what this machine can compute on
///
/// The instruction set in use is the best one; BITNET_ISA names a lower one.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    threads: ThreadArguments,

    /// Write one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Enough to leave the caches behind, and done within a fraction of a second.
const BUFFER_BYTES: usize = 256 << 20;
const PASSES: usize = 4;

#[derive(Serialize)]
struct Report {
    devices: Vec<DeviceReport>,
}

#[derive(Serialize)]
struct DeviceReport {
    device: String,
    name: Option<String>,
    cores: Option<usize>,
    threads: usize,
    instruction_set: &'static str,
    instruction_sets: Vec<&'static str>,
    memory_bytes: Option<u64>,
    available_memory_bytes: Option<u64>,
    memory_bandwidth_bytes_per_second: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let threads = arguments.threads.apply();
    // The processor's backend is the only one that this program registers.
    let devices = registry::devices().into_iter().map(|device| DeviceReport {
        device: device.to_string(),
        name: machine::cpu_name(),
        cores: machine::cores(),
        threads,
        instruction_set: Cpu::best().isa().name(),
        instruction_sets: machine::instruction_sets(),
        memory_bytes: machine::memory_bytes(),
        available_memory_bytes: machine::available_memory_bytes(),
        memory_bandwidth_bytes_per_second: bandwidth::measure(BUFFER_BYTES, PASSES),
    });
    let report = Report { devices: devices.collect() };
    if arguments.json {
        output::write_json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    for device in &report.devices {
        output::write(&device.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl DeviceReport {
    fn text(&self) -> String {
        let unknown = || "unknown".to_owned();
        let memory = |bytes: Option<u64>| bytes.map_or_else(unknown, output::bytes);
        format!(
            "{}  {}\n  cores             {}\n  threads           {}\n  instruction sets  {} (in use: {})\n  memory            {} ({} available)\n  memory bandwidth  {}/s read by {} threads\n",
            self.device,
            self.name.clone().unwrap_or_else(unknown),
            self.cores.map_or_else(unknown, |cores| cores.to_string()),
            self.threads,
            self.instruction_sets.join(", "),
            self.instruction_set,
            memory(self.memory_bytes),
            memory(self.available_memory_bytes),
            output::bytes(self.memory_bandwidth_bytes_per_second as u64),
            self.threads,
        )
    }
}
