//! Ternary and int8 products at the shapes of BitNet b1.58 2B-4T, each tier and encoding, 1 and 2
//! threads.
//!
//! Decode is measured over as many matrices as exceed the caches, in rotation; prefill is 512
//! tokens, 128 on the tiers without dot products of bytes.

use std::hint::black_box;
use std::time::Duration;

use bitnet_kernels::int8::{self, Int8Matrix};
use bitnet_kernels::tiled::{self, TileEncoding, TiledLayout, TiledMatrix};
use bitnet_kernels::{Cpu, Isa, QuantizedRows, parallel};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SHAPES: [(usize, usize); 3] = [(2560, 2560), (6912, 2560), (2560, 6912)];
const STREAM_BYTES: usize = 256 << 20;

struct Activations {
    codes: Vec<i8>,
    cols: usize,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Activations {
    /// `cols` is a multiple of 64, so no padding is needed.
    fn new(tokens: usize, cols: usize) -> Self {
        let codes: Vec<i8> = (0..tokens * cols).map(|i| (i % 251) as u8 as i8).collect();
        let sum = |row: &[i8]| row.iter().map(|&q| i32::from(q)).sum();
        let sums = codes.chunks(cols).map(sum).collect();
        Activations { codes, cols, scales: vec![0.25; tokens], sums }
    }

    fn rows(&self) -> QuantizedRows<'_> {
        QuantizedRows::new(&self.codes, self.cols, self.cols, &self.scales, &self.sums)
            .expect("the activations are as described")
    }
}

fn tiled_codes(layout: TiledLayout) -> Vec<u8> {
    let mut codes = vec![0; layout.byte_len()];
    tiled::pack(layout, &mut codes, |row, values| {
        for (col, value) in values.iter_mut().enumerate() {
            *value = ((row + col * 5) % 3) as i8 - 1;
        }
    })
    .expect("the values are ternary");
    codes
}

/// The matrices to measure.
fn layouts() -> impl Iterator<Item = TiledLayout> {
    SHAPES.into_iter().flat_map(|(rows, cols)| {
        TileEncoding::ALL
            .map(|encoding| TiledLayout::new(encoding, rows, cols).expect("a small shape"))
    })
}

/// The tiers to measure: not the portable one, which would take minutes.
fn tiers() -> impl Iterator<Item = (Cpu, usize)> {
    let fast = Cpu::available().iter().filter(|cpu| cpu.isa() != Isa::Scalar);
    fast.flat_map(|&cpu| [(cpu, 1), (cpu, 2)])
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("ternary decode");
    for layout in layouts() {
        let (rows, cols) = (layout.rows(), layout.cols());
        let count = STREAM_BYTES / layout.byte_len();
        let matrices: Vec<Vec<u8>> = (0..count).map(|_| tiled_codes(layout)).collect();
        let scales = vec![0.5; rows];
        let x = Activations::new(1, cols);
        let mut out = vec![0.0; rows];
        group.throughput(Throughput::Bytes(layout.byte_len() as u64));
        for (cpu, threads) in tiers() {
            parallel::set_num_threads(threads);
            let id = format!("{rows}x{cols}, {:?}", layout.encoding());
            let id = BenchmarkId::new(id, format!("{cpu}/{threads}"));
            let mut next = 0;
            group.bench_function(id, |b| {
                b.iter(|| {
                    let w = TiledMatrix::new(layout, &matrices[next], &scales)
                        .expect("the matrix is as described");
                    tiled::gemm(cpu, &w, &x.rows(), black_box(&mut out));
                    next = (next + 1) % count;
                });
            });
        }
    }
}

fn prefill(c: &mut Criterion) {
    let mut group = c.benchmark_group("ternary prefill");
    for layout in layouts() {
        let (rows, cols) = (layout.rows(), layout.cols());
        let (codes, scales) = (tiled_codes(layout), vec![0.5; rows]);
        let w = TiledMatrix::new(layout, &codes, &scales).expect("the matrix is as described");
        for (cpu, threads) in tiers() {
            parallel::set_num_threads(threads);
            let tokens = match cpu.isa() {
                Isa::Scalar | Isa::Sse41 | Isa::Avx2 | Isa::Neon => 128,
                _ => 512,
            };
            let x = Activations::new(tokens, cols);
            let mut out = vec![0.0; tokens * rows];
            let id = format!("{rows}x{cols}, {:?}, {tokens} tokens", layout.encoding());
            group.throughput(Throughput::Elements((tokens * rows * cols) as u64));
            group.bench_function(BenchmarkId::new(id, format!("{cpu}/{threads}")), |b| {
                b.iter(|| tiled::gemm(cpu, &w, &x.rows(), black_box(&mut out)));
            });
        }
    }
}

fn output_head(c: &mut Criterion) {
    let mut group = c.benchmark_group("int8 output head");
    let (rows, cols) = (128_256, 2560);
    let weights: Vec<i8> = (0..rows * cols).map(|i| (i * 7) as i8).collect();
    let scales = vec![0.5; rows];
    let w = Int8Matrix::new(&weights, cols, &scales).expect("the matrix is as described");
    let x = Activations::new(1, cols);
    let mut out = vec![0.0; rows];
    group.throughput(Throughput::Bytes(weights.len() as u64));
    for (cpu, threads) in tiers() {
        parallel::set_num_threads(threads);
        group.bench_function(
            BenchmarkId::new(format!("{rows}x{cols}"), format!("{cpu}/{threads}")),
            |b| {
                b.iter(|| int8::linear(cpu, &w, &x.rows(), black_box(&mut out)));
            },
        );
    }
}

criterion_group! {
    name = ternary_products;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = decode, prefill, output_head
}
criterion_main!(ternary_products);
