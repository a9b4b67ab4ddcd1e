//! Every family of tensor operations on small and medium sizes.
//!
//! `cargo bench -p bitnet-tensor --bench families [-- FILTER]` measures with criterion;
//! `BITNET_NUM_THREADS` and `BITNET_ISA` apply. `benches/tensor_families.py` asks the same binary
//! for one workload at a time (`--serve`), so that it alternates with NumPy and PyTorch in one run.

mod linear_algebra;
mod neural;
mod numerical;
mod workload;

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use criterion::Criterion;

use workload::{Run, Workload};

fn workloads() -> impl Iterator<Item = &'static Workload> {
    let families = [numerical::WORKLOADS, linear_algebra::WORKLOADS, neural::WORKLOADS];
    families.into_iter().flatten()
}

fn main() {
    match std::env::args().any(|argument| argument == "--serve") {
        true => serve(),
        false => measure(),
    }
}

/// One group per family.
fn measure() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    for workload in workloads() {
        let mut group = criterion.benchmark_group(workload.family);
        group.bench_function(workload.name, |bencher| {
            let mut run = (workload.make)().expect("a workload");
            bencher.iter(|| run().expect("a result"));
        });
        group.finish();
    }
    criterion.final_summary();
}

/// Answers each line of the input: `list` with the workloads and an empty line, `family/name
/// seconds` with the median of a call in seconds.
fn serve() {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if line == "list" {
            for workload in workloads() {
                writeln!(output, "{}/{}", workload.family, workload.name).expect("a reader");
            }
            writeln!(output).expect("a reader");
        } else {
            let (name, seconds) = line.rsplit_once(' ').expect("a name and seconds");
            let wanted = |w: &&Workload| name == format!("{}/{}", w.family, w.name);
            let workload = workloads().find(wanted).expect("a workload of the list");
            let seconds = seconds.parse().expect("a number of seconds");
            let mut run = (workload.make)().expect("a workload");
            writeln!(output, "{:e}", median(&mut run, seconds)).expect("a reader");
        }
        output.flush().expect("a reader");
    }
}

/// The median time of a call among those that fit into `seconds`, at least three.
fn median(run: &mut Run, seconds: f64) -> f64 {
    // The first call makes pages and caches warm.
    run().expect("a result");
    let begin = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < 3 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        black_box(run().expect("a result"));
        samples.push(start.elapsed().as_secs_f64());
    }
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
