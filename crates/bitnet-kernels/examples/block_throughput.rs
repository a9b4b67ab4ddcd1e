//! Prints how fast this machine multiplies with weights of block formats (bytes of weights per
//! second for one token, beside what a plain read of memory reaches; products per second for
//! many), and converts to and from them.
//!
//! `cargo run --release -p bitnet-kernels --example block_throughput [-- --quick]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use bitnet_kernels::blocks::{BlockFormat, dequantize, quantize};
use bitnet_kernels::grouped::{GroupedLayout, GroupedMatrix, GroupedRows, gemm, pack_grouped};
use bitnet_kernels::ternary::quantize::{absmean_scale, ternarize_row};
use bitnet_kernels::ternary::{I2sBlock, pack_i2_s, unpack_block_row, unpack_i2_s_row};
use bitnet_kernels::{Cpu, convert, parallel};

/// The projections and the head of SmolLM2-135M, as (rows, columns).
const SHAPES: [(usize, usize); 3] = [(3072, 576), (576, 1536), (49_152, 576)];

const FORMATS: [BlockFormat; 4] =
    [BlockFormat::Q8_0, BlockFormat::Q4_0, BlockFormat::Q4_1, BlockFormat::Q6K];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let bytes = if quick { 1 << 22 } else { 256 << 20 };
    let threads = parallel::num_threads();
    for threads in if threads > 1 { vec![1, threads] } else { vec![1] } {
        parallel::set_num_threads(threads);
        println!("\n{threads} thread(s)");
        read_memory(bytes);
        for &cpu in Cpu::available() {
            for format in FORMATS {
                decode(cpu, format, bytes);
            }
            let shapes = if quick { &SHAPES[..1] } else { &SHAPES[..] };
            for &(rows, cols) in shapes {
                in_cache(cpu, BlockFormat::Q4_1, rows, cols, if quick { 16 } else { 256 });
                in_cache(cpu, BlockFormat::Q8_0, rows, cols, if quick { 16 } else { 256 });
            }
        }
        conversions(bytes / 8);
    }
}

/// What the machine's memory gives to a loop that only adds what it reads.
fn read_memory(bytes: usize) {
    let data = vec![1u64; bytes / 8];
    let time = best(5, || {
        parallel::for_each(data.len(), 1 << 15, |range| {
            black_box(data[range].iter().fold(0u64, |sum, &v| sum.wrapping_add(v)));
        });
    });
    println!("read of memory             {:6.1} GB/s", bytes as f64 / time / 1e9);
}

fn tiles(format: BlockFormat, rows: usize, cols: usize) -> (GroupedLayout, Vec<u8>) {
    let row: Vec<f32> = (0..cols).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let mut bytes = vec![0; format.row_bytes(cols).expect("whole blocks")];
    quantize(Cpu::best(), format, cols, &row, &mut bytes).expect("finite");
    let layout = GroupedLayout::new(format, rows, cols).expect("a layout");
    let mut tiles = vec![0; layout.byte_len()];
    pack_grouped(layout, |_| &bytes[..], &mut tiles).expect("packed");
    (layout, tiles)
}

/// One token against a matrix larger than the caches.
fn decode(cpu: Cpu, format: BlockFormat, bytes: usize) {
    let cols = 1536;
    let (layout, tiles) = tiles(format, bytes / cols, cols);
    let w = GroupedMatrix::new(layout, &tiles).expect("a matrix");
    let x: Vec<f32> = (0..cols).map(|i| (i % 251) as f32).collect();
    let mut out = vec![0.0; layout.rows()];
    let time = best(4, || {
        let x = GroupedRows::quantize(cpu, &x, cols).expect("groups");
        gemm(cpu, &w, &x, black_box(&mut out));
    });
    println!("{cpu}: decode, {format:>5}     {:6.1} GB/s", tiles.len() as f64 / time / 1e9);
}

/// The same matrix for many tokens: what the instructions allow.
fn in_cache(cpu: Cpu, format: BlockFormat, rows: usize, cols: usize, tokens: usize) {
    let (layout, tiles) = tiles(format, rows, cols);
    let w = GroupedMatrix::new(layout, &tiles).expect("a matrix");
    let x: Vec<f32> = (0..tokens * cols).map(|i| (i % 251) as f32).collect();
    let mut out = vec![0.0; rows * tokens];
    let time = best(3, || {
        let x = GroupedRows::quantize(cpu, &x, cols).expect("groups");
        gemm(cpu, &w, &x, black_box(&mut out));
    });
    println!(
        "{cpu}: {tokens} tokens × {rows}×{cols} {format} {:7.1} G products/s",
        (rows * cols * tokens) as f64 / time / 1e9
    );
}

/// Numbers per second to and from each format, and the steps of making I2_S from bf16.
fn conversions(len: usize) {
    let (cpu, cols) = (Cpu::best(), 2560);
    let rows = len / cols;
    let len = rows * cols;
    let values: Vec<f32> = (0..len).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let mut back = vec![0.0; len];
    let report = |what: &str, time: f64| {
        println!("{what:26} {:6.2} G numbers/s", len as f64 / time / 1e9);
    };
    for format in BlockFormat::ALL.into_iter().filter(|format| format.can_quantize()) {
        let mut bytes = vec![0; format.byte_len(rows, cols).expect("whole blocks")];
        let time = best(2, || quantize(cpu, format, cols, &values, &mut bytes).expect("finite"));
        report(&format!("quantize {format}"), time);
        let time = best(2, || dequantize(cpu, format, cols, &bytes, &mut back).expect("fits"));
        report(&format!("dequantize {format}"), time);
        if format.has_ternary_codes() && format != BlockFormat::Q1_0 {
            let time = best(2, || {
                parallel::for_each(rows, 16, |range| {
                    let mut codes = vec![0; cols];
                    let mut scales = vec![0.0; cols / format.block_len()];
                    for row in range {
                        unpack_block_row(format, &bytes, rows, cols, row, &mut codes, &mut scales)
                            .expect("ternary");
                    }
                });
            });
            report(&format!("unpack codes {format}"), time);
        }
    }
    let mut halves = vec![half::bf16::ZERO; len];
    convert::f32_to_bf16(cpu, &values, &mut halves);
    let time = best(2, || {
        parallel::for_each_chunk_mut(&mut back, 1 << 16, |piece, out| {
            convert::bf16_to_f32(cpu, &halves[piece << 16..][..out.len()], out);
        });
    });
    report("bf16 to f32", time);
    report("mean magnitude", best(2, || _ = black_box(absmean_scale(cpu, &values))));
    let block = I2sBlock::Of128;
    let mut packed = vec![0; block.byte_len(rows, cols).expect("whole blocks")];
    let time = best(2, || {
        let fill = |row: usize, out: &mut [i8]| {
            ternarize_row(cpu, &values[row * cols..][..cols], 2.0, out);
        };
        pack_i2_s(block, rows, cols, 0.5, fill, &mut packed).expect("ternary");
    });
    report("ternarize and pack I2_S", time);
    let time = best(2, || {
        parallel::for_each(rows, 16, |range| {
            let mut codes = vec![0; cols];
            for row in range {
                unpack_i2_s_row(block, &packed, rows, cols, row, &mut codes).expect("ternary");
            }
        });
    });
    report("unpack codes I2_S", time);
}

/// The shortest of some runs, in seconds, the first left out; short ones are repeated.
fn best(runs: usize, mut f: impl FnMut()) -> f64 {
    f();
    let start = Instant::now();
    let mut shortest = f64::INFINITY;
    let mut done = 0;
    while done < runs || start.elapsed() < Duration::from_millis(50) {
        let start = Instant::now();
        f();
        shortest = shortest.min(start.elapsed().as_secs_f64());
        done += 1;
    }
    shortest
}
