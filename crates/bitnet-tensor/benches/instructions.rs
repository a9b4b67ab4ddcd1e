//! Instructions of the shortest calls, counted by valgrind's callgrind: unlike times they do not
//! depend on what else the machine does.
//!
//! `cargo bench -p bitnet-tensor --bench instructions` prints the table of `benches/RESULTS.md`. It
//! runs itself under `valgrind --tool=callgrind` with two numbers of calls; the difference leaves out
//! what is done once. Valgrind shows the CPU's AVX2 tier to the program, whatever it has.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use bitnet_tensor::backend::profiler;
use bitnet_tensor::memory::HybridMemoryPool;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device};

/// A call, over what it needs.
type Call = Box<dyn FnMut()>;

/// Makes what a call is over.
type Make = fn() -> Call;

const CALLS: [(&str, Make); 6] = [
    ("take and free 1 KiB of the pool", || {
        let pool = HybridMemoryPool::new();
        Box::new(move || drop(black_box(pool.allocate(black_box(1024)).expect("memory"))))
    }),
    ("make and drop a tensor of 16 f32", || {
        let empty = || BitNetTensor::empty([16], BitNetDType::F32, Device::CPU).expect("memory");
        Box::new(move || drop(black_box(empty())))
    }),
    ("make and drop a tensor of 16 zeros", || {
        let zeros = || BitNetTensor::zeros([16], BitNetDType::F32).expect("memory");
        Box::new(move || drop(black_box(zeros())))
    }),
    ("add 16 f32 to 16", || {
        let x = BitNetTensor::full([16], 0.5f32).expect("memory");
        Box::new(move || drop(black_box(x.add(&x).expect("a sum"))))
    }),
    ("transpose a tensor (a view)", || {
        let x = BitNetTensor::full([4, 4], 0.5f32).expect("memory");
        Box::new(move || drop(black_box(x.transpose(0, 1).expect("a view"))))
    }),
    ("a scope of the profiler, which is off", || {
        Box::new(|| drop(black_box(profiler::scope("part"))))
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, run, name, count] = arguments.as_slice()
        && run == "--run"
    {
        let (_, make) = CALLS.iter().find(|(other, _)| other == name).expect("a call of the list");
        let (mut call, count) = (make(), count.parse::<u32>().expect("a number of calls"));
        (0..count).for_each(|_| call());
        return ExitCode::SUCCESS;
    }
    println!("| call | instructions |\n|---|---|");
    for (name, _) in CALLS {
        let counts = [1000, 3000].map(|count| instructions(&arguments[0], name, count));
        let [Some(few), Some(many)] = counts else {
            eprintln!("valgrind did not count: is it installed?");
            return ExitCode::FAILURE;
        };
        println!("| {name} | {:.0} |", (many - few) as f64 / 2000.0);
    }
    ExitCode::SUCCESS
}

/// What `count` calls take, with beginning and end of the process.
fn instructions(program: &str, name: &str, count: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program, "--run", name])
        .arg(count.to_string())
        .output()
        .ok()?;
    let report = String::from_utf8(output.stderr).ok()?;
    let line = report.lines().find(|line| line.contains("Collected : "))?;
    line.rsplit(' ').next()?.parse().ok()
}
