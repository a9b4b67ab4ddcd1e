//! `bitnet devices`: what this machine can compute on.

use std::process::ExitCode;

use anyhow::Result;
use bitnet::Device;
use bitnet::tensor::backend::DeviceInfo;
use clap::Args;
use serde::Serialize;

use crate::args::ThreadArguments;
use crate::output;

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

#[derive(Serialize)]
struct Report {
    devices: Vec<DeviceInfo>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    arguments.threads.apply();
    bitnet::register_devices()?;
    let mut devices = Device::list();
    for info in &mut devices {
        if !info.is_lost {
            info.memory_bandwidth_bytes_per_second = Some(info.device.measure_bandwidth()?);
        }
    }
    let report = Report { devices };
    let text = || report.devices.iter().map(text).collect::<String>();
    output::write_report(arguments.json, &report, text)?;
    Ok(ExitCode::SUCCESS)
}

/// A device and a line for each thing that is known of it.
fn text(info: &DeviceInfo) -> String {
    let unknown = || "unknown".to_owned();
    let memory = |bytes: Option<u64>| bytes.map_or_else(unknown, output::bytes);
    let lines = [
        ("cores", info.cores.map(|cores| cores.to_string())),
        ("threads", info.threads.map(|threads| threads.to_string())),
        ("instruction sets", instruction_sets(info)),
        (
            "memory",
            info.memory_bytes.map(|all| {
                let available = memory(info.available_memory_bytes);
                format!("{} ({available} available)", output::bytes(all))
            }),
        ),
        (
            "memory bandwidth",
            info.memory_bandwidth_bytes_per_second.map(|rate| match info.threads {
                Some(threads) => {
                    format!("{}/s read by {threads} threads", output::bytes(rate as u64))
                }
                None => format!("{}/s", output::bytes(rate as u64)),
            }),
        ),
    ];
    let state = match (info.is_lost, info.is_software) {
        (true, _) => " (lost)",
        (_, true) => " (software: only where it is named)",
        _ => "",
    };
    let name = info.name.clone().unwrap_or_else(unknown);
    let mut text = format!("{}  {name}{state}\n", info.device);
    for (label, value) in lines {
        if let Some(value) = value {
            text.push_str(&format!("  {label:<17} {value}\n"));
        }
    }
    text
}

fn instruction_sets(info: &DeviceInfo) -> Option<String> {
    let in_use = info.instruction_set.as_ref()?;
    Some(format!("{} (in use: {in_use})", info.instruction_sets.join(", ")))
}
