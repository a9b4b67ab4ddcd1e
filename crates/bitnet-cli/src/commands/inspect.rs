//! `bitnet inspect`: what a model is, from its files' headers alone; with `--values` also what its
//! weights are, read block by block.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use bitnet::HeadPrecision;
use bitnet::kernels::Cpu;
use bitnet::kernels::tiled::{TileEncoding, TiledLayout};
use bitnet::llm::checkpoint::{Checkpoint, Encoding, Statistics, statistics_of};
use bitnet::llm::config::{
    Activation, Architecture, ModelConfig, QuantizationMode, ScaleConvention, WeightFormat,
};
use bitnet::llm::model::{DEFAULT_CONTEXT, StoredType};
use clap::Args;
use serde::Serialize;

use super::tensor_file;
use super::tensor_tree::Tree;
use crate::args::LayoutArguments;
use crate::progress::LazyBar;
use crate::{loading, output};

/// Show what a model is
///
/// Its architecture, size, bits per weight, the memory it needs, and its tensors as a tree. Nothing
/// is loaded, so this is quick for a model of any size, and works for one that cannot be run.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bitnet inspect
  bitnet inspect model.gguf --values
  bitnet inspect path/to/model --json")]
pub(crate) struct Arguments {
    /// The model: a directory as on Hugging Face, or a GGUF file [default: the model inside of the
    /// program]; or a .safetensors, .npz or .npy file
    model: Option<PathBuf>,

    /// Read the weights: how many are −1, 0 and 1, their scales, the range and spread of others
    #[arg(long)]
    values: bool,

    /// The context that memory is counted for, in tokens [default: the model's own limit, up to
    /// 8192]
    #[arg(long, value_name = "N")]
    context: Option<usize>,

    #[command(flatten)]
    layout: LayoutArguments,

    /// Write one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    model: String,
    /// Absent when `config.json` asks for what this program cannot do; `unsupported` says what.
    #[serde(flatten)]
    description: Option<Description>,
    unsupported: Option<String>,
    file_bytes: u64,
    /// Of a GGUF file; long lists shortened.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    tensors: Vec<TensorReport<'a>>,
}

#[derive(Serialize)]
struct TensorReport<'a> {
    name: &'a str,
    dtype: &'static str,
    shape: &'a [usize],
    bytes: usize,
    #[serde(flatten)]
    values: Option<Statistics>,
}

#[derive(Serialize)]
struct Description {
    architecture: &'static str,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    hidden_act: &'static str,
    vocab_size: usize,
    max_position_embeddings: usize,
    tie_word_embeddings: bool,
    weight_format: String,
    parameters: u64,
    ternary_parameters: u64,
    /// Of the file, over all parameters.
    bits_per_parameter: f64,
    /// Of the file's ternary weights; absent where it has none.
    bits_per_ternary_weight: Option<f64>,
    /// The context that the memory is for.
    context: usize,
    memory: Memory,
}

/// Bytes that the model needs when it runs, without activations.
#[derive(Serialize)]
struct Memory {
    /// Ternary weights with their scales, as this processor multiplies them, whatever the file has.
    ternary_weight_bytes: u64,
    /// Weights that are used where the file has them.
    mapped_weight_bytes: u64,
    /// The output head in the default precision; an exact one adds nothing.
    output_head_bytes: u64,
    key_value_cache_bytes: u64,
    total_bytes: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(path) = arguments.model.as_deref()
        && let Some(tensors) = tensor_file::open(path)?
    {
        output::write_report(arguments.json, &tensors, || tensors.text())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (files, name) = loading::files(arguments.model.as_deref(), arguments.layout)?;
    let checkpoint = Checkpoint::new(files);
    let tensors: Vec<_> = checkpoint.model_files().weights().tensors().collect();
    let (description, unsupported) = match checkpoint.config() {
        Ok(config) => (Some(describe(&config, &checkpoint, arguments.context)), None),
        Err(error) => (None, Some(output::one_line(&error.to_string()))),
    };
    let values = if arguments.values { values(&checkpoint)? } else { HashMap::new() };
    let report = Report {
        model: name,
        description,
        unsupported,
        file_bytes: tensors.iter().map(|tensor| tensor.bytes as u64).sum(),
        metadata: metadata(&checkpoint),
        tensors: tensors
            .iter()
            .map(|tensor| TensorReport {
                name: tensor.name,
                dtype: tensor.dtype.name(),
                shape: tensor.shape,
                bytes: tensor.bytes,
                values: values.get(tensor.name).copied(),
            })
            .collect(),
    };
    output::write_report(arguments.json, &report, || report.text())?;
    Ok(ExitCode::SUCCESS)
}

/// What the weights are, by their names in the file. What cannot be read as numbers has none.
fn values(checkpoint: &Checkpoint) -> Result<HashMap<String, Statistics>> {
    let mut values = HashMap::new();
    let total = checkpoint.tensors().len();
    let mut bar = LazyBar::new("tensors", false);
    for (done, entry) in checkpoint.tensors().iter().enumerate() {
        let is_readable = match entry.encoding {
            Some(Encoding::Number(dtype)) => dtype.name().contains('F'),
            other => other.is_some(),
        };
        if is_readable {
            let statistics = statistics_of(&checkpoint.matrix(entry)?)
                .with_context(|| format!("{}: tensor {}", entry.file, entry.stored_name))?;
            values.insert(entry.stored_name.clone(), statistics);
        }
        bar.update(done + 1, total);
    }
    Ok(values)
}

/// Keys and values of a GGUF file, a line each.
fn metadata(checkpoint: &Checkpoint) -> BTreeMap<String, String> {
    let Ok(gguf) = checkpoint.gguf() else { return BTreeMap::new() };
    let entries = gguf.metadata().entries().iter();
    entries.map(|(key, value)| ((*key).to_owned(), output::one_line(&value.to_string()))).collect()
}

fn describe(config: &ModelConfig, checkpoint: &Checkpoint, context: Option<usize>) -> Description {
    let files = checkpoint.model_files().weights();
    let (mut parameters, mut ternary_parameters, mut ternary_bytes, mut ternary_weight_bytes) =
        (0u64, 0u64, 0u64, 0u64);
    for entry in checkpoint.tensors() {
        let elements = entry.elements() as u64;
        parameters += elements;
        if entry.masters || entry.encoding.is_some_and(Encoding::is_ternary) {
            ternary_parameters += elements;
            let [rows, columns] = entry.rows_and_columns();
            let encoding = TileEncoding::best_ternary(Cpu::best(), columns);
            let tiles = TiledLayout::new(encoding, rows, columns).map_or(0, TiledLayout::byte_len);
            ternary_weight_bytes += (tiles + rows * size_of::<f32>()) as u64;
            let scale = files.info(&format!("{}_scale", entry.name));
            ternary_bytes += (entry.bytes + scale.map_or(0, |scale| scale.bytes)) as u64;
        }
    }
    let total_bytes: u64 = files.tensors().map(|tensor| tensor.bytes as u64).sum();

    let context = context.unwrap_or_else(|| config.max_position_embeddings.min(DEFAULT_CONTEXT));
    let wide = |size: usize| size as u64;
    let key_value_cache_bytes =
        [config.num_hidden_layers, config.num_key_value_heads, config.head_dim, context]
            .into_iter()
            .fold(2 * size_of::<f32>() as u64, |bytes, size| bytes.saturating_mul(wide(size)));
    let output_head_bytes =
        HeadPrecision::default().byte_size(config.vocab_size, config.hidden_size);
    let mapped_weight_bytes = total_bytes - ternary_bytes;
    let per = |bytes: u64, count: u64| (count > 0).then(|| bytes as f64 * 8.0 / count as f64);
    Description {
        architecture: match config.architecture {
            Architecture::BitNet => "bitnet",
            Architecture::Llama => "llama",
            Architecture::Qwen3 => "qwen3",
            _ => "other",
        },
        hidden_size: config.hidden_size,
        intermediate_size: config.intermediate_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        hidden_act: match config.hidden_act {
            Activation::Relu2 => "relu2",
            Activation::Silu => "silu",
            _ => "other",
        },
        vocab_size: config.vocab_size,
        max_position_embeddings: config.max_position_embeddings,
        tie_word_embeddings: config.tie_word_embeddings,
        weight_format: weight_format(config, checkpoint),
        parameters,
        ternary_parameters,
        bits_per_parameter: per(total_bytes, parameters).unwrap_or(0.0),
        bits_per_ternary_weight: per(ternary_bytes, ternary_parameters),
        context,
        memory: Memory {
            ternary_weight_bytes,
            mapped_weight_bytes,
            output_head_bytes,
            key_value_cache_bytes,
            total_bytes: [mapped_weight_bytes, output_head_bytes, key_value_cache_bytes]
                .into_iter()
                .fold(ternary_weight_bytes, u64::saturating_add),
        },
    }
}

fn weight_format(config: &ModelConfig, checkpoint: &Checkpoint) -> String {
    let text = match config.weight_format {
        WeightFormat::Dense => "dense",
        WeightFormat::Ternary { mode: QuantizationMode::Online, .. } => {
            "float masters, ternary when loaded"
        }
        WeightFormat::Ternary { scale: ScaleConvention::Multiply, .. } => {
            "packed ternary, scales multiply"
        }
        WeightFormat::Ternary { scale: ScaleConvention::Divide, .. } => {
            "packed ternary, scales divide"
        }
        WeightFormat::ByTensor => {
            let mut counts: Vec<(StoredType, usize)> = Vec::new();
            for tensor in checkpoint.model_files().weights().tensors() {
                match counts.iter_mut().find(|(dtype, _)| *dtype == tensor.dtype) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((tensor.dtype, 1)),
                }
            }
            let counts = counts.iter().map(|(dtype, count)| format!("{count} of {dtype}"));
            return counts.collect::<Vec<_>>().join(", ");
        }
    };
    text.to_owned()
}

impl Report<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.model);
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "  {key:<13} {value}");
        };
        if let Some(d) = &self.description {
            line(
                "architecture",
                format!(
                    "{}: {} layers, hidden {}, feed-forward {} ({}), {} heads and {} key-value heads of {}",
                    d.architecture,
                    d.num_hidden_layers,
                    d.hidden_size,
                    d.intermediate_size,
                    d.hidden_act,
                    d.num_attention_heads,
                    d.num_key_value_heads,
                    d.head_dim,
                ),
            );
            let head = if d.tie_word_embeddings {
                "the output head is the embedding"
            } else {
                "separate output head"
            };
            line("vocabulary", format!("{} tokens; {head}", d.vocab_size));
            line("context", format!("{} tokens", d.max_position_embeddings));
            line(
                "parameters",
                format!(
                    "{}, of which {} ternary",
                    millions(d.parameters),
                    millions(d.ternary_parameters)
                ),
            );
            line("weights", d.weight_format.clone());
            let ternary =
                d.bits_per_ternary_weight.map(|bits| format!("; {bits:.3} per ternary weight"));
            line(
                "bits",
                format!("{:.3} per parameter{}", d.bits_per_parameter, ternary.unwrap_or_default()),
            );
            let memory = &d.memory;
            line(
                "memory",
                format!(
                    "{}: {} ternary weights, {} others, {} output head, {} keys and values of {} tokens",
                    output::bytes(memory.total_bytes),
                    output::bytes(memory.ternary_weight_bytes),
                    output::bytes(memory.mapped_weight_bytes),
                    output::bytes(memory.output_head_bytes),
                    output::bytes(memory.key_value_cache_bytes),
                    d.context,
                ),
            );
        }
        if let Some(reason) = &self.unsupported {
            line("unsupported", reason.clone());
        }
        line("tensors", format!("{} in {}", self.tensors.len(), output::bytes(self.file_bytes)));
        if !self.metadata.is_empty() {
            text += "\nmetadata\n";
            for (key, value) in &self.metadata {
                let _ = writeln!(text, "  {} = {value}", output::one_line(key));
            }
        }
        text.push('\n');
        let mut tree = Tree::default();
        for tensor in &self.tensors {
            tree.add(tensor.name, tensor.bytes as u64, tensor.line());
        }
        text + &tree.text()
    }
}

impl TensorReport<'_> {
    fn line(&self) -> String {
        let shape = format!("{:?}", self.shape);
        let mut line =
            format!("{:<7} {shape:<16} {:>9}", self.dtype, output::bytes(self.bytes as u64));
        let Some(values) = &self.values else { return line };
        if let Some(codes) = values.codes {
            let all = codes.iter().sum::<u64>().max(1) as f64;
            let share = |count: u64| 100.0 * count as f64 / all;
            let _ = write!(
                line,
                "  −1 {:.1} %, 0 {:.1} %, 1 {:.1} %",
                share(codes[0]),
                share(codes[1]),
                share(codes[2])
            );
            match values.scales {
                Some([low, high]) if low == high => _ = write!(line, ", scale {low}"),
                Some([low, high]) => _ = write!(line, ", scales {low} to {high}"),
                None => {}
            }
        } else {
            let _ = write!(
                line,
                "  {:.4} to {:.4}, mean {:.2e}, deviation {:.2e}",
                values.min, values.max, values.mean, values.standard_deviation
            );
        }
        if values.not_finite > 0 {
            let _ = write!(line, ", {} not finite", values.not_finite);
        }
        line
    }
}

fn millions(count: u64) -> String {
    if count >= 1_000_000_000 {
        format!("{:.2} billion", count as f64 / 1e9)
    } else {
        format!("{:.1} million", count as f64 / 1e6)
    }
}
