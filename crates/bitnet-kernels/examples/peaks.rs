//! Prints what each instruction set tier of this processor computes at most.
//!
//! `cargo run --release -p bitnet-kernels --example peaks`

use bitnet_kernels::{Cpu, parallel, peaks};

fn main() {
    let threads = parallel::num_threads();
    for threads in if threads > 1 { vec![1, threads] } else { vec![1] } {
        parallel::set_num_threads(threads);
        for &cpu in Cpu::available() {
            println!(
                "{threads} thread(s), {cpu:<12} f32 {:7.1} G operations/s, int8 {:7.1} G operations/s",
                peaks::f32_operations_per_second(cpu) / 1e9,
                peaks::int8_operations_per_second(cpu) / 1e9,
            );
        }
    }
}
