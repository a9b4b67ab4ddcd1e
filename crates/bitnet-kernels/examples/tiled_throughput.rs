//! Prints how fast this machine multiplies with ternary and int8 weights: bytes of weights
//! per second for one token (beside what a plain read of memory reaches), products per second
//! for many, and weights packed per second.
//!
//! `cargo run --release -p bitnet-kernels --example tiled_throughput`, of all tiers of instructions; with
//! names of tiers behind `--`, of those.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bitnet_kernels::int8::{self, Int8Matrix};
use bitnet_kernels::tiled::{self, TileEncoding, TiledLayout, TiledMatrix};
use bitnet_kernels::{Cpu, Isa, QuantizedRows, parallel};

/// The projections of BitNet b1.58 2B-4T, as (rows, columns).
const SHAPES: [(usize, usize); 3] = [(2560, 2560), (6912, 2560), (2560, 6912)];

/// Weights larger than any last-level cache, so that they come from memory.
const STREAM_BYTES: usize = 256 << 20;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |cpu: &&Cpu| named.is_empty() || named.iter().any(|n| n == cpu.isa().name());
    let threads = parallel::num_threads();
    for threads in if threads > 1 { vec![1, threads] } else { vec![1] } {
        parallel::set_num_threads(threads);
        println!("\n{threads} thread(s)");
        read_memory();
        for &cpu in Cpu::available().iter().filter(is_wanted) {
            output_head(cpu);
            for encoding in TileEncoding::ALL {
                println!("{cpu}, {encoding:?}");
                for tokens in [1, 2, 4, 8, 12, 16, 24] {
                    decode(cpu, encoding, tokens);
                }
                for (rows, cols) in SHAPES {
                    let batches: &[usize] = match cpu.isa() {
                        Isa::Scalar | Isa::Sse41 | Isa::Avx2 | Isa::Neon => &[1, 4, 128],
                        _ => &[1, 2, 4, 12, 13, 512],
                    };
                    for &tokens in batches {
                        in_cache(cpu, encoding, rows, cols, tokens);
                    }
                }
            }
        }
        TileEncoding::ALL.into_iter().for_each(packing);
    }
}

/// What the machine's memory gives to a loop that only adds what it reads.
fn read_memory() {
    let data = vec![1u64; STREAM_BYTES / 8];
    let time = best(5, || {
        parallel::for_each(data.len(), 1 << 15, |range| {
            black_box(data[range].iter().fold(0u64, |sum, &v| sum.wrapping_add(v)));
        });
    });
    println!("read of memory          {:6.1} GB/s", STREAM_BYTES as f64 / time / 1e9);
}

/// A few tokens against as many matrices as exceed the caches, in turn.
fn decode(cpu: Cpu, encoding: TileEncoding, tokens: usize) {
    let (rows, cols) = (6912, 2560);
    let layout = TiledLayout::new(encoding, rows, cols).unwrap();
    let count = STREAM_BYTES / layout.byte_len();
    let matrices: Vec<Vec<u8>> = (0..count).map(|_| codes(layout)).collect();
    let scales = vec![0.5; rows];
    let x = Activations::new(tokens, cols);
    let mut out = vec![0.0; rows * tokens];
    let time = best(4, || {
        for matrix in &matrices {
            let w = TiledMatrix::new(layout, matrix, &scales).unwrap();
            tiled::gemm(cpu, &w, &x.rows(), black_box(&mut out));
        }
    });
    let bytes = count * layout.byte_len();
    println!(
        "{tokens:3} token(s), {count} × {rows}×{cols}   {:6.1} GB/s, {:7.1} G products/s",
        bytes as f64 / time / 1e9,
        (tokens * count * rows * cols) as f64 / time / 1e9
    );
}

/// One token against the output head of BitNet b1.58 2B-4T in int8.
fn output_head(cpu: Cpu) {
    let (rows, cols) = (128_256, 2560);
    let weights: Vec<i8> = (0..rows * cols).map(|i| (i * 7) as i8).collect();
    let scales = vec![0.5; rows];
    let w = Int8Matrix::new(&weights, cols, &scales).unwrap();
    for tokens in [1, 8] {
        let x = Activations::new(tokens, cols);
        let mut out = vec![0.0; rows * tokens];
        let time = best(3, || int8::linear(cpu, &w, &x.rows(), black_box(&mut out)));
        println!(
            "{cpu}: int8 head, {tokens} token(s)   {:6.1} GB/s, {:7.1} G products/s",
            weights.len() as f64 / time / 1e9,
            (weights.len() * tokens) as f64 / time / 1e9
        );
    }
}

/// The same matrix again and again: what the instructions allow.
fn in_cache(cpu: Cpu, encoding: TileEncoding, rows: usize, cols: usize, tokens: usize) {
    let layout = TiledLayout::new(encoding, rows, cols).unwrap();
    let (codes, scales) = (codes(layout), vec![0.5; rows]);
    let w = TiledMatrix::new(layout, &codes, &scales).unwrap();
    let x = Activations::new(tokens, cols);
    let mut out = vec![0.0; rows * tokens];
    let time = best(5, || tiled::gemm(cpu, &w, &x.rows(), black_box(&mut out)));
    println!(
        "{tokens:3} token(s) × {rows}×{cols}   {:7.1} G products/s, {:9.1} us",
        (rows * cols * tokens) as f64 / time / 1e9,
        time * 1e6
    );
}

fn packing(encoding: TileEncoding) {
    let layout = TiledLayout::new(encoding, 20_480, 2560).unwrap();
    let row: Vec<i8> = (0..2560).map(|i| (i * i % 3) as i8 - 1).collect();
    let mut out = vec![0; layout.byte_len()];
    let fill = |_: usize, values: &mut [i8]| values.copy_from_slice(&row);
    let time = best(3, || tiled::pack(layout, &mut out, fill).unwrap());
    let weights = (20_480 * 2560) as f64;
    println!("{encoding:?}: packing, rows from cache   {:6.2} G weights/s", weights / time / 1e9);
    let time = best(3, || assert!(tiled::are_codes_valid(encoding, black_box(&out))));
    println!("check of codes             {:6.2} GB/s", out.len() as f64 / time / 1e9);
}

fn codes(layout: TiledLayout) -> Vec<u8> {
    let mut codes = vec![0; layout.byte_len()];
    let fill = |row: usize, values: &mut [i8]| {
        for (col, value) in values.iter_mut().enumerate() {
            *value = ((row + col * 5) % 3) as i8 - 1;
        }
    };
    tiled::pack(layout, &mut codes, fill).unwrap();
    codes
}

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
        QuantizedRows::new(&self.codes, self.cols, self.cols, &self.scales, &self.sums).unwrap()
    }
}

/// The shortest of some runs, in seconds, the first left out; short ones are repeated.
fn best(runs: usize, mut f: impl FnMut()) -> f64 {
    f();
    let start = Instant::now();
    let mut shortest = f64::INFINITY;
    let mut done = 0;
    while done < runs || start.elapsed() < Duration::from_millis(100) {
        let start = Instant::now();
        f();
        shortest = shortest.min(start.elapsed().as_secs_f64());
        done += 1;
    }
    shortest
}
