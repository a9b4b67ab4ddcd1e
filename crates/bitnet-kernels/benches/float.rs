//! The float kernels on the sizes of BitNet b1.58 2B-4T, with their throughput.
//!
//! `cargo bench -p bitnet-kernels --bench float`; `BITNET_NUM_THREADS` and `BITNET_ISA` apply.
//! Throughput is bytes for kernels that stream memory; for products one "element" is one
//! floating-point operation, so that Gelem/s reads as GFLOP/s.

use std::hint::black_box;
use std::time::Duration;

use bitnet_kernels::attention::{View4, attention};
use bitnet_kernels::dense::{Matrix, Weights, linear, matmul};
use bitnet_kernels::elementwise::{BinaryKind, GateKind, Operand, UnaryKind, binary, gate, unary};
use bitnet_kernels::rope::{RopeMode, RopeShape, inverse_frequencies, rope_rows, tables};
use bitnet_kernels::ternary::quantize::{QuantizedRowsMut, rms_norm_quantize_rows};
use bitnet_kernels::{Cpu, parallel, reduce};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::bf16;

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761) as i32 as f32 / 2e9).collect()
}

fn streams(c: &mut Criterion) {
    let cpu = Cpu::best();
    let mut group = c.benchmark_group("stream");
    group.throughput(Throughput::Elements(1));
    group.bench_function("parallel region", |b| {
        b.iter(|| {
            parallel::for_each(2, 1, |range| {
                black_box(range);
            })
        });
    });
    let len = 1 << 24;
    let x = numbers(len);
    group.throughput(Throughput::Bytes(4 * len as u64));
    group.bench_function("sum 16M", |b| b.iter(|| reduce::sum(cpu, black_box(&x))));
    group.bench_function("argmax 16M", |b| b.iter(|| reduce::argmax(cpu, black_box(&x))));
    let len = 1 << 13; // in the first-level cache
    let (x, y, mut out) = (&x[..len], &x[len..2 * len], vec![0.0; len]);
    group.throughput(Throughput::Bytes(4 * len as u64));
    for kind in [UnaryKind::Exp, UnaryKind::Silu, UnaryKind::Tanh] {
        group.bench_function(format!("{kind:?} 8K"), |b| b.iter(|| unary(cpu, kind, x, &mut out)));
    }
    group.bench_function("add 8K", |b| {
        let (x, y) = (Operand::Slice(x), Operand::Slice(y));
        b.iter(|| binary(cpu, BinaryKind::Add, x, y, &mut out));
    });
    group.bench_function("relu² gate 6912", |b| {
        b.iter(|| gate(cpu, GateKind::ReluSquared, &x[..6912], &y[..6912], &mut out[..6912]));
    });
    group.finish();
}

fn rows(c: &mut Criterion) {
    let cpu = Cpu::best();
    let mut group = c.benchmark_group("rows");
    for tokens in [1, 512] {
        let (x, weight) = (numbers(tokens * 2560), numbers(2560));
        let (mut codes, mut scales) = (vec![0; tokens * 2560], vec![0.0; tokens]);
        let (mut sums, mut out) = (vec![0; tokens], vec![0.0; tokens * 2560]);
        group.throughput(Throughput::Bytes(4 * x.len() as u64));
        group.bench_function(format!("rms_norm + quantize {tokens}×2560"), |b| {
            b.iter(|| {
                let (codes, scales, sums) = (&mut codes[..], &mut scales[..], &mut sums[..]);
                let out = QuantizedRowsMut { codes, stride: 2560, scales, sums };
                rms_norm_quantize_rows(cpu, &x, 2560, &weight, 1e-5, out);
            });
        });
        group.bench_function(format!("rms_norm {tokens}×2560"), |b| {
            b.iter(|| reduce::rms_norm_rows(cpu, &x, 2560, &weight, 1e-5, &mut out));
        });
        group.bench_function(format!("softmax {tokens}×2560"), |b| {
            b.iter(|| reduce::softmax_rows(cpu, &x, 2560, &mut out));
        });
        let (cos, sin) = tables(&inverse_frequencies(128, 500_000.0), 4096);
        let positions: Vec<u32> = (0..tokens as u32).collect();
        let shape = RopeShape { tokens, heads: 20, head_dim: 128, token_stride: 2560 };
        group.bench_function(format!("rope {tokens}×20×128"), |b| {
            let mode = RopeMode::RotateHalf;
            b.iter(|| rope_rows(mode, shape, &x, &cos, &sin, &positions, &mut out));
        });
    }
    group.finish();
}

fn products(c: &mut Criterion) {
    let cpu = Cpu::best();
    let mut group = c.benchmark_group("product");
    let (len, features) = (2560, 128_256);
    let weights: Vec<bf16> = numbers(len * features).into_iter().map(bf16::from_f32).collect();
    for (tokens, features) in [(1, features), (4, features), (128, 4096)] {
        let x = numbers(tokens * len);
        let mut out = vec![0.0; tokens * features];
        group.throughput(match tokens {
            1 => Throughput::Bytes((2 * len * features) as u64),
            _ => Throughput::Elements((2 * tokens * len * features) as u64),
        });
        group.bench_function(format!("linear bf16 {tokens}×{len}→{features}"), |b| {
            let weights = Weights::Bf16(&weights[..len * features]);
            b.iter(|| linear(cpu, &x, len, weights, None, &mut out));
        });
    }
    let n = 1024;
    let (a, b) = (numbers(n * n), numbers(n * n));
    let mut out = vec![0.0; n * n];
    group.throughput(Throughput::Elements((2 * n * n * n) as u64));
    group.bench_function(format!("matmul f32 {n}³"), |bench| {
        let (a, b) = (Matrix::row_major(&a, n, n), Matrix::row_major(&b, n, n));
        bench.iter(|| matmul(a, b, &mut out));
    });
    group.finish();
}

fn attentions(c: &mut Criterion) {
    let cpu = Cpu::best();
    let mut group = c.benchmark_group("attention");
    let (heads, kv_heads, head_dim, capacity) = (20, 5, 128, 4096);
    let cache = numbers(2 * capacity * kv_heads * head_dim);
    let (k, v) = cache.split_at(capacity * kv_heads * head_dim);
    for (tokens, start) in [(512, 0), (2048, 0), (1, 511), (1, 4095)] {
        let q = numbers(tokens * heads * head_dim);
        let positions: Vec<u32> = (start..start + tokens).map(|p| p as u32).collect();
        let mut out = vec![0.0; q.len()];
        let seen: usize = positions.iter().map(|&p| p as usize + 1).sum();
        group.throughput(match tokens {
            1 => Throughput::Bytes((8 * seen * kv_heads * head_dim) as u64),
            _ => Throughput::Elements((4 * seen * heads * head_dim) as u64),
        });
        group.bench_function(format!("{tokens} tokens from {start}"), |b| {
            let q = View4::contiguous(&q, [1, tokens, heads, head_dim]);
            let dims = [1, capacity, kv_heads, head_dim];
            let (k, v) = (View4::contiguous(k, dims), View4::contiguous(v, dims));
            b.iter(|| attention(cpu, q, k, v, &positions, 0.088, &mut out));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = streams, rows, products, attentions
}
criterion_main!(benches);
