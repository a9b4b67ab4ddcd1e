//! How many blocks of memory each operation takes, counted by the pool: the table of
//! `src/ops/copies.md`, which the documentation of `ops` shows.
//!
//! The table fails here when it is not what is counted; `BITNET_BLESS=1` writes it anew. One test
//! function: the counters are the process's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use bitnet_tensor::BitNetDType::{self, Bool, F32, F64, I32, I64, U8};
use bitnet_tensor::memory::HybridMemoryPool;
use bitnet_tensor::ops::{
    Convolution, GateKind, MatrixNorm, PadMode, Reduction, RopeMode, ScatterKind, Triangle,
};
use bitnet_tensor::random::Generator;
use bitnet_tensor::{
    BitNetTensor, Device, Granularity, QuantizationScheme, QuantizedActivation, Result,
    TernaryScale, s,
};
use bitnet_testkit::Random;
use bitnet_testkit::conformance::{BINARY, COMPARISONS, UNARY};

/// Blocks of up to this size hold a number or a few: they are not counted.
const NUMBERS: usize = 64;

/// What an operation leaves behind, and what it took.
type Results = Vec<BitNetTensor>;

fn blocks() -> u64 {
    let stats = HybridMemoryPool::global().stats();
    let small = stats.size_classes.iter().filter(|class| class.block_bytes <= NUMBERS);
    stats.hits + stats.misses - small.map(|class| class.requests).sum::<u64>()
}

/// The blocks that `operation` takes, and how many of them its results are in.
fn taken(operation: impl FnOnce() -> Result<Results>, of: &[&BitNetTensor]) -> Result<[u64; 2]> {
    let before = blocks();
    let results = operation()?;
    let taken = blocks() - before;
    let own = results
        .iter()
        .filter(|y| y.byte_size() > NUMBERS && !of.iter().any(|x| x.shares_storage_with(y)));
    Ok([taken, own.count() as u64])
}

/// Names by what they take.
#[derive(Default)]
struct Table(BTreeMap<(u8, u64), Vec<String>>);

impl Table {
    fn add(&mut self, name: &str, group: u8, more: u64) {
        self.0.entry((group, more)).or_default().push(name.to_string());
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# What is copied\n\nHow many blocks of memory an operation takes for contiguous operands on \
             the CPU, `F32` where it has\nthem, blocks for single numbers apart. Counted by `cargo test \
             -p bitnet-tensor --test copies`, which\nfails when this is not what it counts and writes it \
             with `BITNET_BLESS=1`.\n\n| blocks | operations |\n|---|---|\n",
        );
        for ((group, more), names) in &self.0 {
            let row = match (group, more) {
                (0, _) => "none: a view, or the tensor itself".to_string(),
                (1, _) => "none: in the storage of the tensor, when nobody shares it".to_string(),
                (2, _) => "none: in the storage of the tensor given for the result".to_string(),
                (_, 0) => "the results".to_string(),
                (_, 1) => "the results and one more".to_string(),
                (_, more) => format!("the results and {more} more"),
            };
            let mut names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            names.sort();
            names.dedup();
            writeln!(text, "| {row} | {} |", names.join(" ")).expect("a text");
        }
        text
    }
}

/// A case of the table: what is called, with the operands that a view would share.
macro_rules! count {
    ($table:ident, $group:literal, $of:expr, $($name:literal => $result:expr),+ $(,)?) => {$(
        let [blocks, own] = taken(|| Ok($result), &$of)?;
        if $group < 3 {
            assert_eq!((blocks, own), (0, 0), "{} takes no block", $name);
        }
        $table.add($name, $group, blocks.saturating_sub(own));
    )+};
}

fn numbers(dtype: BitNetDType, shape: &[usize]) -> Result<BitNetTensor> {
    Random::new(1).tensor(dtype, shape)
}

fn elementwise(table: &mut Table) -> Result<()> {
    let (x, y) = (numbers(F32, &[64, 96])?, numbers(F32, &[64, 96])?);
    let (n, m) = (numbers(U8, &[64, 96])?, numbers(U8, &[64, 96])?);
    let mask = numbers(Bool, &[64, 96])?;
    for (kind, method, owned) in UNARY {
        let name = bitnet_tensor::ops::Op::from(bitnet_tensor::ops::Unary(kind)).name();
        let alone = x.copy()?;
        count!(table, 3, [&x], "" => vec![method(&x)?]);
        rename(table, name);
        count!(table, 1, [], "" => vec![owned(alone)?].split_off(1));
        rename(table, &format!("into_{name}"));
    }
    for (name, method) in BINARY.iter().chain(&COMPARISONS) {
        let of_bits = name.starts_with("bit") || name.starts_with("sh");
        let (a, b) = if of_bits { (&n, &m) } else { (&x, &y) };
        count!(table, 3, [a, b], "" => vec![method(a, b)?]);
        rename(table, name);
    }
    let alone = || x.copy();
    let [a, b, c, d, e, f, g, h, i] = [(); 9].map(|()| alone());
    let (a, b, c, d, e, f, g, h, i) = (a?, b?, c?, d?, e?, f?, g?, h?, i?);
    let keep = |x: Result<BitNetTensor>| x.map(|_| Vec::new());
    count!(table, 1, [],
        "into_add" => keep(a.into_add(&y))?, "into_sub" => keep(b.into_sub(&y))?,
        "into_mul" => keep(c.into_mul(&y))?, "into_div" => keep(d.into_div(&y))?,
        "into_maximum" => keep(e.into_maximum(&y))?, "into_minimum" => keep(f.into_minimum(&y))?,
        "into_pow" => keep(g.into_pow(&y))?, "into_rem" => keep(h.into_rem(&y))?,
        "into_floor_div" => keep(i.into_floor_div(&y))?,
    );
    let (a, b, c, mut d) = (alone()?, alone()?, alone()?, alone()?);
    count!(table, 1, [],
        "a + &b" => keep(Ok(a + &y))?, "a * &b" => keep(Ok(b * &y))?, "-a" => keep(Ok(-c))?,
        "a += &b" => { d += &y; Vec::new() },
    );
    count!(table, 3, [&x, &y, &mask],
        "where_" => vec![mask.where_(&x, &y)?], "masked_fill" => vec![x.masked_fill(&mask, 0.0)?],
        "clamp" => vec![x.clamp(-0.5, 0.5)?], "mul_add" => vec![x.mul_add(&y, &x)?],
        "lerp" => vec![x.lerp(&y, 0.5)?], "logical_and" => vec![x.logical_and(&y)?],
        "logical_or" => vec![mask.logical_or(&mask)?], "logical_xor" => vec![mask.logical_xor(&mask)?],
        "logical_not" => vec![mask.logical_not()?], "bitnot" => vec![n.bitnot()?],
        "isnan" => vec![x.isnan()?], "isinf" => vec![x.isinf()?], "isfinite" => vec![x.isfinite()?],
    );
    Ok(())
}

/// Gives the last nameless entry its name.
fn rename(table: &mut Table, name: &str) {
    let entry = table.0.values_mut().flatten().find(|entry| entry.is_empty());
    entry.expect("an entry without name").push_str(name);
}

fn movement(table: &mut Table) -> Result<()> {
    let x = numbers(F32, &[64, 96])?;
    let turned = x.transpose(0, 1)?;
    let (line, one) = (numbers(F32, &[96])?, numbers(F32, &[64, 1])?);
    count!(table, 0, [&x, &line],
        "permute" => vec![x.permute(&[1, 0])?], "transpose" => vec![x.transpose(0, 1)?],
        "movedim" => vec![x.movedim(0, 1)?], "movedims" => vec![x.movedims(&[0], &[1])?],
        "expand" => vec![x.expand([3, 64, 96])?], "slice" => vec![x.slice(1, 95, 30, -2)?],
        "narrow" => vec![x.narrow(0, 1, 20)?], "split" => x.split(&[32, 32], 0)?,
        "chunk" => x.chunk(3, 0)?, "windows" => vec![x.windows(1, 3, 1, 2)?],
        "unfold" => vec![x.unfold(1, 3, 1)?], "diagonal" => vec![x.diagonal(0, 0, 1)?],
        "diag of a matrix" => vec![x.diag(0)?], "flip" => vec![x.flip(&[0])?],
        "squeeze" => vec![x.unsqueeze(0)?.squeeze(0)?], "unsqueeze" => vec![x.unsqueeze(0)?],
        "squeeze_all" => vec![x.squeeze_all()?], "meshgrid" => BitNetTensor::meshgrid(&[&line, &line])?,
        "bitcast" => vec![x.bitcast(I32)?], "reshape" => vec![x.reshape([96, 64])?],
        "view_as" => vec![x.view_as(&[-1])?], "flatten" => vec![x.flatten(0, 1)?],
        "contiguous" => vec![x.contiguous()?], "to_dtype to its own" => vec![x.to_dtype(F32)?],
        "to_device to its own" => vec![x.to_device(Device::CPU)?], "detach" => vec![x.detach()],
        "index by ranges and new axes" => vec![x.index(s![1.., ..;-2])?],
    );
    let places = BitNetTensor::arange(0i64..64)?;
    let index = BitNetTensor::zeros([64, 1], I64)?;
    let tuples = BitNetTensor::zeros([30, 2], I64)?;
    let values = numbers(F32, &[30])?;
    let mask = BitNetTensor::full([64, 96], true)?;
    count!(table, 3, [&x],
        "copy" => vec![x.copy()?], "contiguous of a view" => vec![turned.contiguous()?],
        "to_dtype" => vec![x.to_dtype(F64)?],
        "reshape where strides cannot say it" => vec![turned.reshape([6144])?],
        "cat" => vec![BitNetTensor::cat(&[&x, &x], 0)?],
        "stack" => vec![BitNetTensor::stack(&[&x, &x], 0)?], "roll" => vec![x.roll(&[1], &[0])?],
        "tile" => vec![x.tile(&[2, 1])?], "repeat_interleave" => vec![x.repeat_interleave(2, 0)?],
        "pad" => vec![x.pad(&[(1, 0), (0, 1)], PadMode::Constant(0.0))?], "tril" => vec![x.tril(0)?],
        "triu" => vec![x.triu(0)?], "index_select" => vec![x.index_select(0, &places)?],
        "gather" => vec![x.gather(1, &index)?], "take_along_axis" => vec![x.take_along_axis(1, &index)?],
        "gather_nd" => vec![x.gather_nd(&tuples)?], "masked_select" => vec![x.masked_select(&mask)?],
        "nonzero" => vec![x.nonzero()?], "scatter" => vec![x.scatter(1, &index, &one)?],
        "scatter_add" => vec![x.scatter_add(1, &index, &one)?],
        "scatter_reduce" => vec![x.scatter_reduce(1, &index, &one, ScatterKind::Max)?],
        "scatter_nd" => vec![x.scatter_nd(&tuples, &values, ScatterKind::Add)?],
        "with_slice" => vec![x.with_slice(0, 0, 1, 1, &line)?],
        "with_index" => vec![x.with_index(s![1..], &line)?],
        "index by tensors" => vec![x.index(s![&places])?], "diag of a vector" => vec![line.diag(0)?],
    );
    let mut alone = x.copy()?;
    let mut cache = numbers(F32, &[1, 64, 96])?;
    let (at, row) = (BitNetTensor::from_vec(vec![3u32], [1, 1])?, numbers(F32, &[1, 1, 96])?);
    count!(table, 1, [],
        "set_index" => alone.set_index(s![1.., ..], &line).map(|()| Vec::new())?,
        "write_rows" => cache.write_rows(&at, &row).map(|()| Vec::new())?,
    );
    Ok(())
}

fn creation(table: &mut Table) -> Result<()> {
    let x = numbers(F32, &[64, 96])?;
    let mut generator = Generator::new(1);
    count!(table, 3, [],
        "zeros" => vec![BitNetTensor::zeros([64, 96], F32)?], "ones" => vec![BitNetTensor::ones([64, 96], F32)?],
        "full" => vec![BitNetTensor::full([64, 96], 2.0f32)?], "empty" => vec![BitNetTensor::empty([64, 96], F32, Device::CPU)?],
        "from_slice" => vec![BitNetTensor::from_slice(&[1.0f32; 96], [96])?],
        "from_vec" => vec![BitNetTensor::from_vec(vec![1.0f32; 96], [96])?],
        "from_nested" => vec![BitNetTensor::from_nested([[1.0f32; 96]; 2])?],
        "from_iterator" => vec![BitNetTensor::from_iterator(0..96)?],
        "zeros_like" => vec![x.zeros_like()?], "ones_like" => vec![x.ones_like()?],
        "full_like" => vec![x.full_like(2)?], "empty_like" => vec![x.empty_like()?],
        "arange" => vec![BitNetTensor::arange(0..96)?], "arange_step" => vec![BitNetTensor::arange_step(0..192, 2)?],
        "linspace" => vec![BitNetTensor::linspace(0.0, 1.0, 96, F64)?],
        "logspace" => vec![BitNetTensor::logspace(0.0, 1.0, 96, 10.0, F64)?],
        "eye" => vec![BitNetTensor::eye(64, F32)?], "eye_rectangular" => vec![BitNetTensor::eye_rectangular(64, 96, 1, F32)?],
        "tri" => vec![BitNetTensor::tri(64, 96, 0, F32)?],
        "uniform" => vec![generator.uniform([96], 0.0, 1.0, F32)?], "normal" => vec![generator.normal([96], 0.0, 1.0, F32)?],
        "bernoulli" => vec![generator.bernoulli([96], 0.5)?], "integers" => vec![generator.integers([96], 0..9, I64)?],
        "permutation" => vec![generator.permutation(96)?],
    );
    Ok(())
}

fn reduction(table: &mut Table) -> Result<()> {
    let x = numbers(F32, &[64, 96])?;
    let bins = numbers(U8, &[640])?;
    let sorted = BitNetTensor::arange(0..96)?.to_dtype(F32)?;
    let pair = |(a, b): (BitNetTensor, BitNetTensor)| vec![a, b];
    count!(table, 3, [&x],
        "sum" => vec![x.sum(&[1], false)?], "prod" => vec![x.prod(&[1], false)?],
        "mean" => vec![x.mean(&[1], false)?], "max" => vec![x.max(&[1], false)?],
        "min" => vec![x.min(&[1], false)?], "any" => vec![x.any(&[0], false)?],
        "all" => vec![x.all(&[0], false)?],
        "count_nonzero" => vec![x.count_nonzero(&[1], false)?], "argmax" => vec![x.argmax(1, false)?],
        "argmin" => vec![x.argmin(1, false)?], "var" => vec![x.var(&[1], 1, false)?],
        "std" => vec![x.std(&[1], 1, false)?], "norm" => vec![x.norm(2.0, &[1], false)?],
        "logsumexp" => vec![x.logsumexp(&[1], false)?], "median" => vec![x.median(&[1], false)?],
        "quantile" => vec![x.quantile(0.3, &[1], false)?], "cumsum" => vec![x.cumsum(1)?],
        "cumprod" => vec![x.cumprod(1)?], "cummax" => pair(x.cummax(1)?), "cummin" => pair(x.cummin(1)?),
        "diff" => vec![x.diff(1, 1)?], "sort" => pair(x.sort(1, false)?),
        "argsort" => vec![x.argsort(1, false)?], "topk" => pair(x.topk(50, 1, true)?),
        "kthvalue" => pair(x.kthvalue(3, 1, false)?), "searchsorted" => vec![sorted.searchsorted(&x, false)?],
        "unique" => { let u = x.unique(None)?; vec![u.values, u.indices, u.inverse, u.counts] },
        "bincount" => vec![bins.bincount(300)?], "histogram" => pair(x.histogram(100, None)?),
    );
    Ok(())
}

fn linalg(table: &mut Table) -> Result<()> {
    let (a, b) = (numbers(F64, &[64, 64])?, numbers(F64, &[64, 64])?);
    let a = a.add(BitNetTensor::eye(64, F64)?.mul(20.0)?)?;
    let spd = a.matmul(&a.transpose(0, 1)?)?;
    let (v, x) = (numbers(F64, &[64])?, numbers(F32, &[64, 96])?);
    let (codes, weight) = (numbers(BitNetDType::I8, &[64, 64])?, numbers(F32, &[64, 96])?);
    let ternary = BitNetTensor::prepare_weight(&[&weight.ternarize()?])?;
    let quantized = x.quantize_activation()?;
    let (int8, scales) = (numbers(BitNetDType::I8, &[64, 96])?, numbers(F32, &[64])?);
    let three = (numbers(F64, &[32, 3])?, numbers(F64, &[32, 3])?);
    let mut out = BitNetTensor::empty([64, 64], F32, Device::CPU)?;
    let triangle = Triangle { upper: true, ..Triangle::default() };
    count!(table, 3, [&a],
        "matmul" => vec![a.matmul(&b)?], "matmul_i32" => vec![codes.matmul_i32(&codes)?],
        "dot" => vec![v.dot(&v)?], "outer" => vec![v.outer(&v)?], "tensordot" => vec![a.tensordot(&b, 1)?],
        "einsum" => vec![BitNetTensor::einsum("ij,jk->ik", &[&a, &b])?],
        "kron" => vec![v.kron(&v)?], "cross" => vec![three.0.cross(&three.1, 1)?], "trace" => vec![a.trace()?],
        "linear" => vec![x.linear(&weight)?], "linear of ternary weights" => vec![quantized.linear(&ternary)?],
        "linear_int8" => vec![quantized.linear_int8(&int8, &scales)?],
        "det" => vec![a.det()?], "slogdet" => vec![a.slogdet()?.0], "inv" => vec![a.inv()?],
        "pinv" => vec![a.pinv(None)?], "solve" => vec![a.solve(&b)?],
        "triangular_solve" => vec![a.triangular_solve(&b, triangle)?],
        "lu" => { let (p, l, u) = a.lu()?; vec![p, l, u] }, "qr" => { let (q, r) = a.qr(false)?; vec![q, r] },
        "cholesky" => vec![spd.cholesky(false)?], "svd" => { let (u, s, v) = a.svd(false)?; vec![u, s, v] },
        "svdvals" => vec![a.svdvals()?], "eigh" => { let (w, v) = spd.eigh()?; vec![w, v] },
        "eigvalsh" => vec![spd.eigvalsh()?],
        "eig" => { let e = a.eig()?; vec![e.values_real, e.values_imaginary, e.vectors_real, e.vectors_imaginary] },
        "eigvals" => { let (re, im) = a.eigvals()?; vec![re, im] }, "matrix_exp" => vec![b.matrix_exp()?],
        "matrix_power" => vec![a.matrix_power(3)?], "matrix_norm" => vec![a.matrix_norm(MatrixNorm::Frobenius)?],
        "matrix_rank" => vec![a.matrix_rank(None)?], "cond" => vec![a.cond(MatrixNorm::Two)?],
        "lstsq" => { let l = a.lstsq(&b, None)?; vec![l.solution, l.singular_values] },
    );
    count!(table, 2, [], "linear_out" => x.linear_out(&weight, &mut out).map(|()| Vec::new())?);
    Ok(())
}

fn neural(table: &mut Table) -> Result<()> {
    let (x, y, line) = (numbers(F32, &[64, 96])?, numbers(F32, &[64, 96])?, numbers(F32, &[96])?);
    let image = numbers(F32, &[2, 4, 16, 16])?;
    let (filter, channel) = (numbers(F32, &[4, 4, 3, 3])?, numbers(F32, &[4])?.abs()?);
    let signal = (numbers(F32, &[2, 4, 64])?, numbers(F32, &[4, 4, 3])?);
    let heads = numbers(F32, &[1, 4, 16, 32])?;
    let tokens = numbers(F32, &[1, 16, 4, 32])?;
    let (cos, sin) = (numbers(F32, &[16, 16])?, numbers(F32, &[16, 16])?);
    let positions = BitNetTensor::arange(0u32..16)?.reshape([1, 16])?;
    let ids = BitNetTensor::arange(0i64..60)?;
    let target = BitNetTensor::arange(0i64..64)?;
    let chance = x.sigmoid()?;
    let mut generator = Generator::new(1);
    let sum = Reduction::Mean;
    let (mut out, mut turned, mut seen) =
        (x.empty_like()?, tokens.empty_like()?, tokens.empty_like()?);
    let mut kept = x.quantize_activation()?;
    let how = Convolution::new(2);
    count!(table, 3, [&x],
        "softmax" => vec![x.softmax(-1)?], "log_softmax" => vec![x.log_softmax(-1)?],
        "glu" => vec![x.glu(-1)?], "swiglu" => vec![x.swiglu(-1)?], "gate" => vec![x.gate(GateKind::Silu, &y)?],
        "rms_norm" => vec![x.rms_norm(&line, 1e-5)?],
        "layer_norm" => vec![x.layer_norm(&[96], Some(&line), Some(&line), 1e-5)?],
        "group_norm" => vec![image.group_norm(2, None, None, 1e-5)?],
        "instance_norm" => vec![image.instance_norm(None, None, 1e-5)?],
        "batch_norm" => vec![image.batch_norm(&channel, &channel, None, None, 1e-5)?],
        "dropout" => vec![x.dropout(0.5, &mut generator)?], "embedding" => vec![x.embedding(&ids)?],
        "convolution" => vec![image.convolution(&filter, None, &how)?],
        "conv1d" => vec![signal.0.conv1d(&signal.1, None, 1, 1, 1, 1)?],
        "conv2d" => vec![image.conv2d(&filter, None, [1, 1], [1, 1], [1, 1], 1)?],
        "convolution_transposed" => vec![image.convolution_transposed(&filter, None, &how, &[0, 0])?],
        "max_pool" => vec![image.max_pool(&[2, 2], &[2, 2], &[0, 0])?],
        "avg_pool" => vec![image.avg_pool(&[2, 2], &[2, 2], &[0, 0])?],
        "scaled_dot_product_attention" => vec![heads.scaled_dot_product_attention(&heads, &heads, None, false, None)?],
        "attention" => vec![tokens.attention(&tokens, &tokens, &positions, 0.2)?],
        "rope" => vec![tokens.rope(&cos, &sin, &positions, RopeMode::RotateHalf)?],
        "mse_loss" => vec![x.mse_loss(&y, sum)?], "l1_loss" => vec![x.l1_loss(&y, sum)?],
        "huber_loss" => vec![x.huber_loss(&y, 1.0, sum)?], "smooth_l1_loss" => vec![x.smooth_l1_loss(&y, 1.0, sum)?],
        "kl_div" => vec![x.kl_div(&chance, sum)?], "binary_cross_entropy" => vec![chance.binary_cross_entropy(&chance, sum)?],
        "binary_cross_entropy_with_logits" => vec![x.binary_cross_entropy_with_logits(&chance, sum)?],
        "nll_loss" => vec![x.nll_loss(&target, None, None, sum)?],
        "cross_entropy" => vec![x.cross_entropy(&target, None, None, sum)?],
    );
    let done = |result: Result<()>| result.map(|()| Vec::new());
    count!(table, 2, [],
        "gate_out" => done(x.gate_out(GateKind::Silu, &y, &mut out))?,
        "rms_norm_out" => done(x.rms_norm_out(&line, 1e-5, &mut out))?,
        "rope_out" => done(tokens.rope_out(&cos, &sin, &positions, RopeMode::RotateHalf, &mut turned))?,
        "attention_out" => done(tokens.attention_out(&tokens, &tokens, &positions, 0.2, &mut seen))?,
        "rms_norm_quantize_out" => done(x.rms_norm_quantize_out(&line, 1e-5, &mut kept))?,
        "quantize_activation_out" => done(x.quantize_activation_out(&mut kept))?,
    );
    Ok(())
}

fn quantization(table: &mut Table) -> Result<()> {
    let (x, line) = (numbers(F32, &[64, 96])?, numbers(F32, &[96])?);
    let other = x.neg()?;
    let parts =
        |q: &QuantizedActivation| vec![q.codes().clone(), q.scales().clone(), q.sums().clone()];
    let ternary = QuantizationScheme::Ternary(TernaryScale::AbsMean);
    let four = QuantizationScheme::Symmetric { bits: 4 };
    let quantized = x.quantize(four, Granularity::Row)?;
    let codes = BitNetTensor::zeros([64, 96], U8)?;
    let packed = codes.pack_bits(4)?;
    let (scale, zero) = (BitNetTensor::scalar(0.1f32)?, BitNetTensor::scalar(0i32)?);
    count!(table, 3, [&x],
        "quantize_activation" => parts(&x.quantize_activation()?),
        "rms_norm_quantize" => parts(&x.rms_norm_quantize(&line, 1e-5)?),
        "ternarize" => { let w = x.ternarize()?; let (_, c, s) = w.packed_parts().expect("ternary"); vec![c.clone(), s.clone()] },
        "quantize" => { let q = x.quantize(four, Granularity::Row)?; vec![q.codes().clone(), q.scales().clone()] },
        "dequantize" => vec![quantized.dequantize()?],
        "fake_quantize" => vec![x.fake_quantize(ternary, Granularity::Tensor)?],
        "fake_quantize_activation" => vec![x.fake_quantize_activation()?],
        "fake_quantize_affine" => vec![x.fake_quantize_affine(&scale, &zero, 0, (-8, 7))?],
        "pack_bits" => vec![codes.pack_bits(4)?], "unpack_bits" => vec![packed.unpack_bits(4, 96)?],
        "straight_through" => vec![x.straight_through(&other)?],
    );
    Ok(())
}

#[test]
fn the_table_is_what_is_counted() -> Result<()> {
    let mut table = Table::default();
    elementwise(&mut table)?;
    movement(&mut table)?;
    creation(&mut table)?;
    reduction(&mut table)?;
    linalg(&mut table)?;
    neural(&mut table)?;
    quantization(&mut table)?;
    let text = table.text();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops/copies.md");
    if std::env::var_os("BITNET_BLESS").is_some() {
        fs::write(&path, &text).expect("a writable file");
    }
    println!("{text}");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "src/ops/copies.md is not what is counted: BITNET_BLESS=1 writes it\n{text}"
    );
    Ok(())
}
