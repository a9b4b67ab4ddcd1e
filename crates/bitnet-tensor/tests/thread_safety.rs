//! The rules of `docs/thread-safety.md`, each with the test that holds it: what may be shared, what
//! cannot be written while it is, and that threads change no result.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use bitnet_tensor::memory::{
    HybridMemoryPool, LiveReport, MemoryStats, PoolBlock, PoolConfig, PressureSubscription,
    with_pool,
};
use bitnet_tensor::random::Generator;
use bitnet_tensor::{
    BitNetDType, BitNetTensor, Device, Gradients, HostBuffer, Layout, MappedFile, NamedTensors,
    Quantized, QuantizedActivation, Result, Storage, TensorOpError, TensorShape,
};

/// Four per core of the machine that this is developed on.
const THREADS: usize = 8;

const fn is_shared_freely<T: Send + Sync>() {}

/// A compile-time assertion: this file does not compile when one of them cannot be shared.
const _: () = {
    is_shared_freely::<BitNetTensor>();
    is_shared_freely::<Storage>();
    is_shared_freely::<HostBuffer>();
    is_shared_freely::<Layout>();
    is_shared_freely::<TensorShape>();
    is_shared_freely::<BitNetDType>();
    is_shared_freely::<Device>();
    is_shared_freely::<Gradients>();
    is_shared_freely::<Quantized>();
    is_shared_freely::<QuantizedActivation>();
    is_shared_freely::<NamedTensors>();
    is_shared_freely::<MappedFile>();
    is_shared_freely::<Generator>();
    is_shared_freely::<TensorOpError>();
    is_shared_freely::<HybridMemoryPool>();
    is_shared_freely::<PoolBlock>();
    is_shared_freely::<MemoryStats>();
    is_shared_freely::<LiveReport>();
    is_shared_freely::<PressureSubscription>();
};

/// Calls `work` with the number of each thread, on all of them at once.
fn on_threads<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        let (work, barrier) = (&work, &barrier);
        let threads: Vec<_> = (0..THREADS)
            .map(|me| {
                scope.spawn(move || {
                    barrier.wait();
                    work(me)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn bits(x: &BitNetTensor) -> Vec<u32> {
    x.to_vec::<f32>().expect("f32").into_iter().map(f32::to_bits).collect()
}

/// Broadcasts, reductions, products, views, gradients, a ternary weight.
fn program(x: &BitNetTensor, w: &BitNetTensor, ternary: &BitNetTensor) -> Result<Vec<u32>> {
    let x = x.detach().with_grad();
    let y = x.linear(w)?.softmax(-1)?;
    let gradient = y.mul(&y)?.sum(&[], false)?.backward()?;
    let gradient = gradient.get(&x).expect("a gradient").sum(&[0], false)?;
    let z = x.detach().linear(ternary)?.transpose(0, 1)?.copy()?.into_add(1.5f32)?;
    let all = [gradient, z.sum(&[1], false)?, y.detach().max(&[1], false)?];
    Ok(bits(&BitNetTensor::cat(&all.each_ref(), 0)?))
}

#[test]
fn threads_that_share_operands_compute_what_one_computes() -> Result<()> {
    let mut random = Generator::new(3);
    let x = random.normal([64, 128], 0.0, 1.0, BitNetDType::F32)?;
    let w = random.normal([96, 128], 0.0, 1.0, BitNetDType::F32)?;
    let ternary = BitNetTensor::prepare_weight(&[&w.ternarize()?])?;
    let expected = program(&x, &w, &ternary)?;
    // Some by reference, some with clones of their own: one storage all the same.
    for results in [
        on_threads(|_| (0..20).map(|_| program(&x, &w, &ternary)).collect::<Result<Vec<_>>>()),
        on_threads(|_| {
            let (x, w, ternary) = (x.clone(), w.clone(), ternary.clone());
            (0..20).map(|_| program(&x, &w, &ternary)).collect()
        }),
    ] {
        for result in results {
            assert!(result?.iter().all(|values| *values == expected));
        }
    }
    Ok(())
}

#[test]
fn one_tape_can_be_differentiated_by_many_threads() -> Result<()> {
    let x = Generator::new(5).normal([32, 32], 0.0, 1.0, BitNetDType::F32)?.with_grad();
    let total = x.matmul(&x)?.tanh()?.sum(&[], false)?;
    let gradient = |total: &BitNetTensor| -> Result<Vec<u32>> {
        Ok(bits(total.backward()?.get(&x).expect("a gradient")))
    };
    let expected = gradient(&total)?;
    for result in on_threads(|_| gradient(&total)) {
        assert_eq!(result?, expected);
    }
    Ok(())
}

#[test]
fn shared_storage_is_not_written_in_place() -> Result<()> {
    let x = BitNetTensor::full([1000], 1.0f32)?;
    on_threads(|me| -> Result<()> {
        let mut mine = x.clone();
        for _ in 0..100 {
            // What writes in place is refused,
            assert!(!mine.is_unique());
            let refused = mine.try_mut::<f32>().expect_err("it is shared");
            assert!(matches!(refused, TensorOpError::InvalidTensor(_)), "{refused}");
            let mut rows = mine.reshape([1, 1000, 1])?;
            let position = BitNetTensor::from_slice(&[0u32], [1, 1])?;
            let row = BitNetTensor::full([1, 1, 1], 9.0f32)?;
            assert!(rows.write_rows(&position, &row).is_err());
            drop(rows);
            // what may reuse its operand takes new storage instead.
            let sum = mine.into_add(me as f32)?;
            assert!(sum.is_unique() && !sum.shares_storage_with(&x));
            assert_eq!(sum.to_vec::<f32>()?, [1.0 + me as f32; 1000]);
            mine = x.clone();
        }
        Ok(())
    })
    .into_iter()
    .collect::<Result<()>>()?;
    assert_eq!(x.to_vec::<f32>()?, [1.0; 1000]);
    let sum = x.into_add(1.0f32)?;
    assert_eq!(sum.to_vec::<f32>()?, [2.0; 1000]);
    Ok(())
}

/// One thread writes whenever it is alone; the others look at the storage, and let go of it, at any
/// moment. Whoever looks sees one whole write, never parts of two.
#[test]
fn a_reader_never_sees_a_write_under_way() -> Result<()> {
    const LENGTH: usize = 4096;
    const WRITES: usize = 400;
    let (refused, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| -> Result<()> {
        let (refused, seen) = (&refused, &seen);
        let readers: Vec<mpsc::SyncSender<BitNetTensor>> = (1..THREADS)
            .map(|_| {
                let (send, receive) = mpsc::sync_channel::<BitNetTensor>(1);
                scope.spawn(move || {
                    for view in receive {
                        let clone = view.clone();
                        drop(view);
                        let values = clone.as_slice::<u32>().expect("on the host");
                        assert!(values.iter().all(|value| *value == values[0]));
                        seen.fetch_add(1, Relaxed);
                    }
                });
                send
            })
            .collect();
        let mut x = BitNetTensor::full([LENGTH], 0u32)?;
        let mut written = 0;
        while written < WRITES {
            match x.try_mut::<u32>() {
                Ok(values) => {
                    values.iter_mut().for_each(|value| *value += 1);
                    written += 1;
                    for reader in &readers {
                        // A full inbox: that one has enough to look at.
                        drop(reader.try_send(x.clone()));
                    }
                }
                Err(_) => {
                    refused.fetch_add(1, Relaxed);
                    thread::yield_now();
                }
            }
        }
        assert_eq!(x.as_slice::<u32>()?, [WRITES as u32; LENGTH]);
        Ok(())
    })?;
    println!("{refused:?} times refused, {seen:?} times seen");
    assert!(seen.into_inner() > 0);
    Ok(())
}

/// Storage that many threads hold can be written by the last one left, whichever that is.
#[test]
fn the_last_holder_may_write() -> Result<()> {
    for round in 0..200u32 {
        let x = BitNetTensor::full([64], round)?;
        let clones: Vec<_> = (0..THREADS).map(|_| Mutex::new(Some(x.clone()))).collect();
        drop(x);
        let writers = on_threads(|me| {
            let mut mine = clones[me].lock().expect("no panic").take().expect("a clone");
            assert_eq!(mine.as_slice::<u32>().expect("on the host"), [round; 64]);
            let Ok(values) = mine.try_mut::<u32>() else { return 0 };
            values.fill(round + 1);
            1
        });
        assert!(writers.iter().sum::<usize>() <= 1, "two were alone");
    }
    Ok(())
}

/// Blocks, tensors, scopes and statistics of one pool from many threads, for as long as it takes.
fn stress(rounds: usize) -> Result<()> {
    let config = PoolConfig::new().with_cache_bytes(8 << 20).with_limit_bytes(256 << 20);
    let pool = HybridMemoryPool::with_config(config);
    let subscription = pool.on_pressure(|change| assert_ne!(change.from, change.to));
    let done = AtomicBool::new(false);
    let (send, receive): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::sync_channel::<BitNetTensor>(8)).unzip();
    let inboxes: Vec<_> = receive.into_iter().map(Mutex::new).collect();
    thread::scope(|scope| {
        // Somebody looks, trims and tracks while the others work.
        scope.spawn(|| {
            let mut round = 0usize;
            while !done.load(Relaxed) {
                let stats = pool.stats();
                assert!(stats.reserved_bytes <= 256 << 20);
                assert!(stats.hit_rate() <= 1.0);
                match round % 16 {
                    0 => drop(pool.trim()),
                    4 => pool.set_tracking(true),
                    8 => drop(pool.live_report().to_string()),
                    12 => pool.set_tracking(false),
                    _ => pool.reset_peak(),
                }
                round += 1;
                thread::yield_now();
            }
        });
        let results = on_threads(|me| -> Result<()> {
            let mut random = me as u64 + 1;
            let mut below = |bound: usize| {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((random >> 33) as usize) % bound
            };
            let mut held: Vec<(BitNetTensor, f32)> = Vec::new();
            for round in 0..rounds {
                let value = (me * rounds + round) as f32;
                let length = if below(10) == 0 { below(200_000) } else { below(2000) };
                let made = with_pool(&pool, || BitNetTensor::full([length + 1], value))?;
                held.push((with_pool(&pool, || made.into_add(1.0f32))?, value + 1.0));
                if held.len() > 16 {
                    let (x, value) = held.swap_remove(below(held.len()));
                    let values = x.as_slice::<f32>()?;
                    assert!(values.iter().all(|v| *v == value), "somebody else wrote here");
                    // Every fourth goes through other hands; a full inbox drops it here.
                    if below(4) == 0 {
                        drop(send[below(THREADS)].try_send(x));
                    }
                }
                if let Ok(x) = inboxes[me].lock().expect("no panic").try_recv() {
                    let values = x.as_slice::<f32>()?;
                    assert!(values.iter().all(|v| *v == values[0]), "somebody else wrote here");
                }
            }
            Ok(())
        });
        done.store(true, Relaxed);
        results.into_iter().collect::<Result<()>>()
    })?;
    drop((inboxes, send, subscription));
    pool.set_tracking(false);
    let stats = pool.stats();
    assert_eq!(
        (stats.live_blocks, stats.current_bytes, stats.requested_bytes),
        (0, 0, 0),
        "{stats}"
    );
    assert!(pool.live_report().blocks.is_empty());
    pool.trim();
    assert_eq!(pool.stats().reserved_bytes, 0);
    println!("{stats}");
    Ok(())
}

#[test]
fn tensors_of_many_threads_leave_nothing_behind() -> Result<()> {
    stress(500)
}

/// `cargo test --release -p bitnet-tensor --test thread_safety -- --ignored --nocapture`
#[test]
#[ignore = "a million tensors take a while"]
fn a_million_tensors_of_many_threads_leave_nothing_behind() -> Result<()> {
    stress(1_000_000 / THREADS)
}

/// What a thread keeps in thread-local values is dropped as it ends, before or after what the pool
/// keeps there: both orders, and tensors made at that late moment.
#[test]
fn tensors_may_be_dropped_as_a_thread_ends() -> Result<()> {
    struct AtTheEnd(Option<BitNetTensor>, HybridMemoryPool);

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            let make = || BitNetTensor::full([100], 7.0f32)?.exp();
            let made = with_pool(&self.1, make).expect("memory, whatever is gone already");
            assert_eq!(made.to_vec::<f32>().expect("f32"), [7f32.exp(); 100]);
            drop(self.0.take());
        }
    }

    thread_local! {
        static KEPT: std::cell::RefCell<Option<AtTheEnd>> = const { std::cell::RefCell::new(None) };
    }

    for first in [true, false] {
        let pool = HybridMemoryPool::new();
        let theirs = pool.clone();
        let thread = thread::spawn(move || {
            let use_pool = || with_pool(&theirs, || BitNetTensor::full([300], 1.0f32));
            // Destructors run in the order in which the values were first used, or against it.
            if first {
                KEPT.with(|_| ());
            } else {
                drop(use_pool());
            }
            KEPT.set(Some(AtTheEnd(use_pool().ok(), theirs.clone())));
        });
        thread.join().expect("no panic");
        let stats = pool.stats();
        assert_eq!((stats.current_bytes, stats.live_blocks, stats.threads), (0, 0, 0), "{stats}");
        pool.trim();
        assert_eq!(pool.stats().reserved_bytes, 0);
    }
    Ok(())
}

/// A thread that goes on after a pool is gone gives back what it kept of it when it is next short
/// of blocks of another pool.
#[test]
fn a_thread_lets_go_of_a_pool_that_is_gone() -> Result<()> {
    let (ask, asked) = mpsc::channel::<Option<HybridMemoryPool>>();
    let (answer, answers) = mpsc::channel();
    let worker = thread::spawn(move || {
        let own = HybridMemoryPool::new();
        drop(own.allocate(100));
        for pool in asked {
            match pool {
                Some(pool) => drop(pool.allocate(100)),
                None => drop((0..1000).map(|_| own.allocate(100)).collect::<Vec<_>>()),
            }
            answer.send(()).expect("somebody asks");
        }
    });
    let use_there = |pool: Option<HybridMemoryPool>| {
        ask.send(pool).expect("it listens");
        answers.recv().expect("an answer");
    };

    let pool = HybridMemoryPool::with_config(PoolConfig::new().with_limit_bytes(1 << 30));
    // The pool's callbacks live as long as its memory does.
    let witness = Arc::new(());
    let held = witness.clone();
    let subscription = pool.on_pressure(move |_| assert!(Arc::strong_count(&held) > 0));
    use_there(Some(pool.clone()));
    assert_eq!(pool.stats().threads, 1, "that thread keeps blocks");
    drop(pool);
    use_there(None);
    assert_eq!(Arc::strong_count(&witness), 1, "the pool is gone with all it had");
    drop((subscription, ask));
    worker.join().expect("no panic");
    Ok(())
}

/// Settings are of the process, and may be changed and read at any time.
#[test]
fn settings_are_read_and_written_by_many_threads() {
    use bitnet_tensor::{print_options, set_print_options};
    let before = print_options();
    on_threads(|_| {
        for _ in 0..200 {
            set_print_options(print_options());
            let x = BitNetTensor::scalar(1.0f32).expect("memory");
            assert!(!x.to_string().is_empty());
        }
    });
    assert_eq!(print_options(), before);
}
