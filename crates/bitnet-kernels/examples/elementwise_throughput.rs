//! Functions of one number on data in the second-level cache, in each tier.
//!
//! `cargo run --release -p bitnet-kernels --example elementwise_throughput`: nanoseconds per element
//! on one thread, the best of many passes over 64 Ki numbers (half a megabyte with the results), and
//! how many times the portable tier's speed that is.

use std::hint::black_box;
use std::time::Instant;

use bitnet_kernels::Cpu;
use bitnet_kernels::elementwise::{BinaryKind, Operand, UnaryKind, binary, unary};

const LEN: usize = 1 << 16;

/// Nanoseconds per element of the fastest of some passes.
fn fastest(mut pass: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        pass();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best * 1e9 / LEN as f64
}

fn main() {
    let mixed: Vec<f32> =
        (0..LEN as u32).map(|i| i.wrapping_mul(2_654_435_761) as i32 as f32 / 5e8).collect();
    let positive: Vec<f32> = mixed.iter().map(|x| x.abs() + 1e-3).collect();
    let mut out = vec![0.0; LEN];
    let mut row = |name: &str, run: &mut dyn FnMut(Cpu, &mut [f32])| {
        let times = Cpu::available().iter().map(|&cpu| fastest(|| run(cpu, black_box(&mut out))));
        let times: Vec<f64> = times.collect();
        let cells = Cpu::available().iter().zip(&times);
        let cells: Vec<String> = cells
            .map(|(cpu, time)| format!("{cpu} {time:.3} ns ({:.1}x)", times[0] / time))
            .collect();
        println!("{name:<12} {}", cells.join("   "));
    };
    for kind in [
        UnaryKind::Exp,
        UnaryKind::Tanh,
        UnaryKind::Gelu,
        UnaryKind::Sigmoid,
        UnaryKind::Log,
        UnaryKind::Log2,
        UnaryKind::Log10,
        UnaryKind::Log1p,
        UnaryKind::Sin,
        UnaryKind::Erf,
        UnaryKind::GeluTanh,
        UnaryKind::Silu,
        UnaryKind::Sqrt,
    ] {
        let x = match kind {
            UnaryKind::Log | UnaryKind::Log2 | UnaryKind::Log10 | UnaryKind::Log1p => &positive,
            _ => &mixed,
        };
        row(&format!("{kind:?}"), &mut |cpu, out| unary(cpu, kind, black_box(x), out));
    }
    for (kind, a) in [(BinaryKind::Pow, &positive), (BinaryKind::Add, &mixed)] {
        row(&format!("{kind:?}"), &mut |cpu, out| {
            let (a, b) = (Operand::Slice(black_box(a)), Operand::Slice(black_box(&mixed)));
            binary(cpu, kind, a, b, out);
        });
    }
}
