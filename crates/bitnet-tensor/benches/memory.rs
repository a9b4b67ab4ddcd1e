//! The memory pool against mimalloc and the system's allocator, and the cost of a small tensor.
//!
//! `cargo bench -p bitnet-tensor --bench memory` prints the tables of `benches/RESULTS.md`: medians
//! over batches, with all three in turn in each round, so that a moment in which the machine was
//! busy with something else spoils one round and no column. `-- --quick` takes a tenth of the time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use bitnet_tensor::memory::{HybridMemoryPool, PoolConfig, TrimPolicy};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device};
use mimalloc::MiMalloc;

const SIZES: [usize; 11] = [
    64,
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];

/// The alignment that the pool gives; the others are asked for it.
const ALIGNMENT: usize = 64;
const PAGE: usize = 4096;

/// What is compared: to get memory of a size, touch it or not, and give it back.
trait Contender: Sync {
    fn name(&self) -> &'static str;
    fn take_and_free(&self, bytes: usize, touch: bool);
}

struct Pool(&'static str, HybridMemoryPool);

impl Contender for Pool {
    fn name(&self) -> &'static str {
        self.0
    }

    #[inline]
    fn take_and_free(&self, bytes: usize, touch: bool) {
        let mut block = self.1.allocate(bytes).expect("memory");
        if touch {
            block.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        }
        black_box(block.as_ptr());
    }
}

struct Allocator<A>(&'static str, A);

impl<A: GlobalAlloc + Sync> Contender for Allocator<A> {
    fn name(&self) -> &'static str {
        self.0
    }

    #[inline]
    fn take_and_free(&self, bytes: usize, touch: bool) {
        let layout = Layout::from_size_align(bytes, ALIGNMENT).expect("a layout");
        // SAFETY: the layout has a size.
        let block = unsafe { self.1.alloc(layout) };
        assert!(!block.is_null());
        if touch {
            for at in (0..bytes).step_by(PAGE) {
                // SAFETY: inside of the allocation, which is ours.
                unsafe { block.add(at).write(1) };
            }
        }
        // SAFETY: it came from this allocator with this layout, and is not used any more.
        unsafe { self.1.dealloc(black_box(block), layout) };
    }
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 5 } else { 51 };
    let pool = Pool("pool", HybridMemoryPool::new());
    let mimalloc = Allocator("mimalloc", MiMalloc);
    let system = Allocator("system", System);
    let all: [&dyn Contender; 3] = [&pool, &mimalloc, &system];

    println!("Take and free, one thread, nanoseconds (median of {rounds}):");
    table(&SIZES, &all, rounds, |contender, bytes| time(contender, bytes, false));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\nThe same with {threads} threads at once, nanoseconds per thread:");
    table(&SIZES, &all, rounds, |contender, bytes| on_threads(contender, bytes, threads));

    println!("\nThe same on one thread, with and without tracking who holds what, nanoseconds:");
    {
        let tracking = PoolConfig::new().with_tracking(true);
        let tracking = Pool("pool, tracking", HybridMemoryPool::with_config(tracking));
        let both: [&dyn Contender; 2] = [&pool, &tracking];
        table(&[1 << 10, 1 << 20], &both, rounds, |contender, bytes| time(contender, bytes, false));
    }

    let fresh = PoolConfig::new().with_trim(TrimPolicy::Immediate);
    let fresh = Pool("pool, fresh", HybridMemoryPool::with_config(fresh));
    let small_pages = PoolConfig::new().with_trim(TrimPolicy::Immediate).with_huge_pages(false);
    let small_pages = Pool("4 KiB pages", HybridMemoryPool::with_config(small_pages));
    let touched: [&dyn Contender; 5] = [&pool, &fresh, &small_pages, &mimalloc, &system];
    println!("\nTake, write a byte of each page, free, one thread, nanoseconds:");
    table(&SIZES[5..], &touched, rounds.min(11), |contender, bytes| time(contender, bytes, true));

    println!("\nA tensor of 16 f32, one thread, nanoseconds:");
    let empty = || BitNetTensor::empty([16], BitNetDType::F32, Device::CPU).expect("memory");
    let kinds: [(&str, &dyn Fn() -> BitNetTensor); 2] = [
        ("empty", &empty),
        ("zeros", &|| BitNetTensor::zeros([16], BitNetDType::F32).expect("memory")),
    ];
    for (name, make) in kinds {
        let samples = (0..rounds).map(|_| sample(|| drop(black_box(make()))));
        println!("| {name} + drop | {:.1} |", median(samples.collect()));
    }
    let clone = empty();
    let samples = (0..rounds).map(|_| sample(|| drop(black_box(clone.clone()))));
    println!("| clone + drop | {:.1} |", median(samples.collect()));
    println!("\n{}", pool.1.stats());
}

/// A row per size, a column per contender.
fn table(
    sizes: &[usize],
    contenders: &[&dyn Contender],
    rounds: usize,
    measure: impl Fn(&dyn Contender, usize) -> f64,
) {
    let names: Vec<_> = contenders.iter().map(|contender| contender.name()).collect();
    println!("| bytes | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for &bytes in sizes {
        let mut columns = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for (column, contender) in columns.iter_mut().zip(contenders) {
                column.push(measure(*contender, bytes));
            }
        }
        let cells: Vec<_> = columns.into_iter().map(|c| format!("{:.1}", median(c))).collect();
        println!("| {bytes} | {} |", cells.join(" | "));
    }
}

fn time(contender: &dyn Contender, bytes: usize, touch: bool) -> f64 {
    sample(|| contender.take_and_free(bytes, touch))
}

/// The time per call, on each of several threads that begin together.
fn on_threads(contender: &dyn Contender, bytes: usize, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let work = || {
        contender.take_and_free(bytes, false);
        barrier.wait();
        time(contender, bytes, false)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let times = workers.into_iter().map(|worker| worker.join().expect("no panic"));
        times.sum::<f64>() / threads as f64
    })
}

/// The time per call in nanoseconds, of as many calls as fit into 2 ms.
fn sample(mut call: impl FnMut()) -> f64 {
    const LENGTH: Duration = Duration::from_millis(2);
    call();
    let (mut calls, start) = (0u32, Instant::now());
    let mut batch = 1;
    loop {
        (0..batch).for_each(|_| call());
        calls += batch;
        let spent = start.elapsed();
        if spent >= LENGTH {
            return spent.as_nanos() as f64 / f64::from(calls);
        }
        batch = (2 * batch).min(1000);
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
