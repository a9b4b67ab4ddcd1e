//! Which operations are views and which copy: the table of `ops/movement/mod.rs`, counted.
//!
//! A view takes no block from the pool and shares its operand's storage; a copy has storage of its
//! own. One test function: the counters are the process's.

use bitnet_tensor::backend::AccelerationMetrics;
use bitnet_tensor::memory::HybridMemoryPool;
use bitnet_tensor::ops::{Ellipsis, NewAxis, PadMode, ScatterKind};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result, s};

type Case<'a> = (&'a str, Box<dyn Fn() -> Result<Vec<BitNetTensor>> + 'a>);

/// What `operation` took: blocks asked of the pool, and results with new storage.
fn taken(
    operation: impl FnOnce() -> Result<Vec<BitNetTensor>>,
) -> Result<(Vec<BitNetTensor>, u64)> {
    let requests = || {
        let stats = HybridMemoryPool::global().stats();
        stats.hits + stats.misses
    };
    let before = (AccelerationMetrics::snapshot(), requests());
    let results = operation()?;
    let spent = AccelerationMetrics::snapshot().since(&before.0);
    Ok((results, spent.allocations + requests() - before.1))
}

macro_rules! cases {
    ($($name:literal => $result:expr),+ $(,)?) => {
        vec![$(($name, Box::new(|| Ok($result)) as Box<dyn Fn() -> Result<Vec<BitNetTensor>> + '_>)),+]
    };
}

#[test]
fn views_take_no_memory_and_copies_have_their_own() -> Result<()> {
    let x = BitNetTensor::zeros([4, 6], BitNetDType::F32)?;
    let line = BitNetTensor::zeros([6], BitNetDType::F32)?;
    let one = BitNetTensor::zeros([4, 1], BitNetDType::F32)?;
    let turned = x.transpose(0, 1)?;

    let views: Vec<Case<'_>> = cases! {
        "permute" => vec![x.permute(&[1, 0])?],
        "transpose" => vec![x.transpose(0, 1)?],
        "movedim" => vec![x.movedim(0, 1)?],
        "movedims" => vec![x.movedims(&[0, 1], &[1, 0])?],
        "expand" => vec![x.expand([3, 4, 6])?],
        "slice" => vec![x.slice(1, 5, 3, -2)?],
        "narrow" => vec![x.narrow(0, 1, 2)?],
        "split" => x.split(&[1, 2, 3], 1)?,
        "chunk" => x.chunk(3, 0)?,
        "windows" => vec![x.windows(1, 2, 2, 3)?],
        "unfold" => vec![x.unfold(0, 2, 1)?],
        "diagonal" => vec![x.diagonal(1, 0, 1)?],
        "flip" => vec![x.flip(&[0, 1])?],
        "unsqueeze" => vec![x.unsqueeze(1)?],
        "squeeze" => vec![x.unsqueeze(1)?.squeeze(1)?],
        "bitcast" => vec![x.bitcast(BitNetDType::I32)?],
        "reshape" => vec![x.reshape([2, 2, 6])?],
        "reshape of a view" => vec![turned.reshape([2, 3, 4])?],
        "flatten" => vec![x.flatten(0, 1)?],
        "view_as" => vec![x.view_as(&[-1, 3])?],
        "squeeze_all" => vec![x.unsqueeze(1)?.squeeze_all()?],
        "contiguous" => vec![x.contiguous()?],
        "to_dtype" => vec![x.to_dtype(BitNetDType::F32)?],
        "to_device" => vec![x.to_device(Device::CPU)?],
        "detach" => vec![x.detach()],
        "index by a number" => vec![x.index(s![-1])?],
        "index by ranges" => vec![x.index(s![1..3, ..;-2])?],
        "index with new axes" => vec![x.index(s![NewAxis, .., NewAxis, 0])?],
        "index by nothing" => vec![x.index(s![])?, x.index(s![Ellipsis])?],
    };
    for (name, view) in &views {
        let (results, taken) = taken(view)?;
        assert_eq!(taken, 0, "{name} takes no memory");
        assert!(results.iter().all(|y| y.shares_storage_with(&x)), "{name} shares the storage");
    }
    let (grid, of_grid) = taken(|| BitNetTensor::meshgrid(&[&line, &line]))?;
    assert_eq!(of_grid, 0, "meshgrid takes no memory");
    assert!(grid.iter().all(|y| y.shares_storage_with(&line)));

    let places = BitNetTensor::try_from(vec![0i64, -1])?;
    let index = BitNetTensor::zeros([4, 1], BitNetDType::I64)?;
    let tuple = BitNetTensor::zeros([1, 2], BitNetDType::I64)?;
    let value = BitNetTensor::zeros([1], BitNetDType::F32)?;
    let mask = BitNetTensor::full([4, 6], true)?;
    let copies: Vec<Case<'_>> = cases! {
        "copy" => vec![x.copy()?],
        "contiguous" => vec![turned.contiguous()?],
        "to_dtype" => vec![x.to_dtype(BitNetDType::F64)?],
        "reshape" => vec![turned.reshape([24])?],
        "flatten" => vec![turned.flatten(0, 1)?],
        "view_as" => vec![turned.view_as(&[-1])?],
        "cat" => vec![BitNetTensor::cat(&[&x, &x], 0)?],
        "stack" => vec![BitNetTensor::stack(&[&x, &x], 0)?],
        "roll" => vec![x.roll(&[1], &[0])?],
        "tile" => vec![x.tile(&[2, 1])?],
        "repeat_interleave" => vec![x.repeat_interleave(2, 0)?],
        "pad" => vec![x.pad(&[(1, 0), (0, 1)], PadMode::Constant(0.0))?, x.pad(&[(1, 0), (0, 1)], PadMode::Edge)?],
        "tril" => vec![x.tril(0)?],
        "triu" => vec![x.triu(0)?],
        "index_select" => vec![x.index_select(0, &places)?],
        "gather" => vec![x.gather(1, &index)?],
        "take_along_axis" => vec![x.take_along_axis(1, &index)?],
        "gather_nd" => vec![x.gather_nd(&tuple)?],
        "masked_select" => vec![x.masked_select(&mask)?],
        "nonzero" => vec![x.nonzero()?],
        "scatter" => vec![x.scatter(1, &index, &one)?],
        "scatter_add" => vec![x.scatter_add(1, &index, &one)?],
        "scatter_reduce" => vec![x.scatter_reduce(1, &index, &one, ScatterKind::Max)?],
        "scatter_nd" => vec![x.scatter_nd(&tuple, &value, ScatterKind::Assign)?],
        "with_slice" => vec![x.with_slice(0, 0, 1, 1, &line)?],
        "with_index" => vec![x.with_index(s![0], 1.0)?, x.with_index(s![&places], 1.0)?],
        "index by tensors" => vec![x.index(s![&places])?, x.index(s![.., &places])?, x.index(s![&mask])?],
    };
    for (name, copy) in &copies {
        let (results, taken) = taken(copy)?;
        assert!(taken > 0, "{name} takes memory");
        assert!(!results.iter().any(|y| y.shares_storage_with(&x)), "{name} has its own storage");
    }

    written_where_they_lie(&line)
}

/// `set_index` writes into storage that nobody shares, else into a copy.
fn written_where_they_lie(line: &BitNetTensor) -> Result<()> {
    let address = |x: &BitNetTensor| x.as_slice::<f32>().map(<[f32]>::as_ptr);
    let mut alone = BitNetTensor::zeros([4, 6], BitNetDType::F32)?;
    let lies = address(&alone)?;
    // The values are broadcast where they lie.
    let (_, taken) = taken(|| alone.set_index(s![1..;2, ..], line).map(|()| Vec::new()))?;
    assert_eq!((taken, address(&alone)?), (0, lies), "a region is written in place");
    alone.set_index(s![&BitNetTensor::try_from(vec![0i64, -1])?], line)?;
    alone.set_index(s![&alone.gt(1.0)?], 2.0)?;
    assert_eq!(address(&alone)?, lies, "so are places");

    let mut shared = alone.clone();
    shared.set_index(s![0, 0], 7.0)?;
    assert_eq!(address(&alone)?, lies);
    assert_ne!(address(&shared)?, lies, "shared storage is left alone");
    assert_eq!(alone.index(s![0, 0])?.item::<f32>()?, 0.0);
    // The values may be a view of what they are written to.
    let mut counted = BitNetTensor::arange(0i64..5)?;
    let before = counted.index(s![..-1])?;
    counted.set_index(s![1..], &before)?;
    assert_eq!(counted.to_vec::<i64>()?, [0, 0, 1, 2, 3]);
    Ok(())
}
