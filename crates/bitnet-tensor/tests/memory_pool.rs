//! The memory pool under random use: what threads allocate and free in any order agrees with a
//! naive model, and nothing is left at the end.

use std::collections::BTreeMap;
use std::sync::mpsc;

use bitnet_tensor::memory::{HybridMemoryPool, PoolBlock, PoolConfig, TrimPolicy};
use proptest::prelude::*;

/// The model: the address and length of every block in use.
#[derive(Default)]
struct Model(BTreeMap<usize, usize>);

impl Model {
    fn insert(&mut self, block: &PoolBlock) {
        let (start, end) = (block.as_ptr().addr(), block.as_ptr().addr() + block.len());
        if let Some((&other, &length)) = self.0.range(..=start).next_back() {
            assert!(other + length.max(1) <= start, "a block begins inside of another");
        }
        if let Some((&other, _)) = self.0.range(start..).next() {
            assert!(end <= other, "a block reaches into another");
        }
        self.0.insert(start, block.len());
    }

    fn remove(&mut self, block: &PoolBlock) {
        assert_eq!(self.0.remove(&block.as_ptr().addr()), Some(block.len()));
    }
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Allocate(usize),
    /// Of the blocks in use, counted around.
    Free(usize),
    FreeElsewhere(usize),
    Trim,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0usize..300,
        3 => 0usize..40_000,
        2 => 30_000usize..300_000,
        1 => 0usize..6_000_000,
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => size().prop_map(Action::Allocate),
        6 => any::<usize>().prop_map(Action::Free),
        2 => any::<usize>().prop_map(Action::FreeElsewhere),
        1 => Just(Action::Trim),
    ]
}

fn config() -> impl Strategy<Value = PoolConfig> {
    let policies = prop_oneof![
        Just(TrimPolicy::CacheSize),
        Just(TrimPolicy::Pressure),
        Just(TrimPolicy::Immediate)
    ];
    let limits = prop_oneof![Just(None), (1usize << 14..1 << 24).prop_map(Some)];
    (limits, 0usize..1 << 24, 0u32..14, policies, any::<bool>()).prop_map(
        |(limit, cache, alignment, policy, tracking)| {
            let config = PoolConfig::new()
                .with_cache_bytes(cache)
                .with_alignment(1 << alignment)
                .with_trim(policy)
                .with_tracking(tracking);
            limit.map_or(config, |bytes| config.with_limit_bytes(bytes))
        },
    )
}

/// Marks a block as its holder's.
fn sign(block: &mut PoolBlock, name: u8) {
    let length = block.len();
    if let [first, .., last] = &mut **block {
        (*first, *last) = (name, !name);
    }
    if length > 100 {
        block[length / 2] = name;
    }
}

fn is_signed(block: &PoolBlock, name: u8) -> bool {
    let ends = match **block {
        [first, .., last] => (first, last) == (name, !name),
        _ => true,
    };
    ends && (block.len() <= 100 || block[block.len() / 2] == name)
}

fn check_stats(pool: &HybridMemoryPool, held: &[(PoolBlock, u8)]) {
    let stats = pool.stats();
    let requested: usize = held.iter().map(|(block, _)| block.len()).sum();
    assert_eq!((stats.live_blocks, stats.requested_bytes), (held.len(), requested));
    assert!(stats.current_bytes >= requested && stats.reserved_bytes >= stats.current_bytes);
    assert!(stats.peak_bytes >= stats.current_bytes);
    assert!(stats.peak_reserved_bytes >= stats.reserved_bytes);
    assert_eq!(stats.cached_bytes, stats.reserved_bytes - stats.current_bytes);
    assert!(stats.limit_bytes.is_none_or(|limit| stats.peak_reserved_bytes <= limit), "{stats}");
    let classes = &stats.size_classes;
    assert_eq!(classes.iter().map(|class| class.live_blocks).sum::<usize>(), held.len());
    assert_eq!(classes.iter().map(|class| class.requests).sum::<u64>(), stats.hits + stats.misses);
    if pool.config().tracking {
        let report = pool.live_report();
        assert_eq!((report.blocks.len(), report.bytes()), (held.len(), requested));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_requests_agrees_with_the_model(
        config in config(),
        actions in prop::collection::vec(action(), 0..300),
    ) {
        let pool = HybridMemoryPool::with_config(config);
        let alignment = config.alignment.clamp(64, 4096);
        let (mut model, mut held) = (Model::default(), Vec::<(PoolBlock, u8)>::new());
        let (send, receive) = mpsc::channel::<PoolBlock>();
        let (answer, done) = mpsc::channel();
        let elsewhere = std::thread::spawn(move || {
            for block in receive {
                drop(block);
                answer.send(()).expect("a listener");
            }
        });
        for (n, action) in actions.into_iter().enumerate() {
            match action {
                Action::Allocate(bytes) => {
                    let Ok(mut block) = pool.allocate(bytes) else {
                        prop_assert!(config.limit_bytes.is_some());
                        continue;
                    };
                    prop_assert_eq!(block.len(), bytes);
                    prop_assert!(block.as_ptr().addr().is_multiple_of(alignment));
                    model.insert(&block);
                    sign(&mut block, n as u8);
                    held.push((block, n as u8));
                }
                Action::Free(n) | Action::FreeElsewhere(n) if !held.is_empty() => {
                    let (block, name) = held.swap_remove(n % held.len());
                    prop_assert!(is_signed(&block, name), "somebody else wrote here");
                    model.remove(&block);
                    if let Action::FreeElsewhere(_) = action {
                        send.send(block).expect("the other thread lives");
                        done.recv().expect("it answers");
                    }
                }
                Action::Trim => {
                    let before = pool.stats().reserved_bytes;
                    let released = pool.trim();
                    prop_assert_eq!(pool.stats().reserved_bytes, before - released);
                }
                _ => {}
            }
            if n % 16 == 0 {
                check_stats(&pool, &held);
            }
        }
        check_stats(&pool, &held);
        held.clear();
        drop(send);
        elsewhere.join().expect("no panic");
        check_stats(&pool, &[]);
        pool.trim();
        prop_assert_eq!(pool.stats().reserved_bytes, 0);
    }
}

/// A small generator: the point is speed and the same numbers on every run.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % bound
    }
}

/// Threads that allocate, check, free and hand each other blocks, `count` times in all.
fn soak(threads: usize, count: usize) {
    let config = PoolConfig::new().with_cache_bytes(64 << 20).with_limit_bytes(1 << 30);
    let pool = HybridMemoryPool::with_config(config);
    let (send, receive): (Vec<_>, Vec<_>) =
        (0..threads).map(|_| mpsc::sync_channel::<(PoolBlock, u8)>(64)).unzip();
    let workers: Vec<_> = receive
        .into_iter()
        .enumerate()
        .map(|(me, inbox)| {
            let (pool, others) = (pool.clone(), send.clone());
            std::thread::spawn(move || {
                let mut random = Lcg(me as u64 + 1);
                let mut held: Vec<(PoolBlock, u8)> = Vec::new();
                for n in 0..count / threads {
                    let bytes = match random.below(100) {
                        0..70 => random.below(2_000),
                        70..95 => random.below(32_769),
                        95..99 => random.below(200_000),
                        _ => random.below(2_000_000),
                    };
                    let mut block = pool.allocate(bytes).expect("memory");
                    sign(&mut block, n as u8);
                    held.push((block, n as u8));
                    while held.len() > 20 + random.below(20) {
                        let (block, name) = held.swap_remove(random.below(held.len()));
                        assert!(is_signed(&block, name), "somebody else wrote here");
                        if random.below(4) == 0 {
                            // A full inbox: it is dropped here.
                            let _ = others[random.below(threads)].try_send((block, name));
                        }
                    }
                    if let Ok((block, name)) = inbox.try_recv() {
                        assert!(is_signed(&block, name), "somebody else wrote here");
                    }
                }
            })
        })
        .collect();
    drop(send);
    for worker in workers {
        worker.join().expect("no panic");
    }
    let stats = pool.stats();
    assert_eq!(
        (stats.live_blocks, stats.current_bytes, stats.requested_bytes),
        (0, 0, 0),
        "{stats}"
    );
    assert_eq!(stats.hits + stats.misses, (count / threads * threads) as u64);
    assert!(stats.hit_rate() >= 0.98, "{stats}");
    assert_eq!(stats.threads, 0);
    pool.trim();
    let stats = pool.stats();
    assert_eq!(stats.reserved_bytes, 0, "{stats}");
    println!("{stats}");
}

#[test]
fn threads_leave_nothing_behind() {
    soak(8, 40_000);
}

/// `cargo test --release -p bitnet-tensor --test memory_pool -- --ignored --nocapture`;
/// `BITNET_SOAK_REQUESTS` says how many.
#[test]
#[ignore = "ten million requests take a while"]
fn threads_leave_nothing_behind_after_ten_million_requests() {
    let count = std::env::var("BITNET_SOAK_REQUESTS").ok();
    soak(8, count.map_or(10_000_000, |count| count.parse().expect("a number of requests")));
}
