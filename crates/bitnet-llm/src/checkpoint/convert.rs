//! Writing a checkpoint from another one, tensor by tensor and block by block: peak memory does not
//! grow with the model. What is written has another name until it is whole.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use bitnet_formats::RawDType;
use bitnet_formats::gguf::{GgmlType, GgufTensorSpec};
use bitnet_formats::safetensors::TensorSpec;
use bitnet_kernels::parallel;
use bitnet_tensor::{ErrorSums, QuantizationError};

use super::directory::{Projections, directory_texts};
use super::encode::{Codes, EncodeError, encode};
use super::matrix::{Encoding, Matrix, RowOrder, Stored};
use super::metadata::{gguf_metadata, rope_divisors};
use super::plan::{ConvertOptions, Planned, plan};
use super::scales::{Scales, scales_of};
use super::sink::Sink;
use super::source::{Checkpoint, Container};
use crate::error::{LlmError, Result};
use crate::model::Progress;
use crate::model::tensor_names::GGUF_ROPE_FREQS;

/// What became of a tensor.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TensorReport {
    /// Its name in the new checkpoint.
    pub name: String,
    /// Its elements.
    pub shape: Vec<usize>,
    /// The encoding that it had.
    pub from: String,
    /// The encoding that it has.
    pub to: String,
    /// Its bytes before.
    pub bytes_before: usize,
    /// Its bytes now.
    pub bytes: usize,
    /// How far its numbers are from what they were; absent where nothing was quantized.
    pub error: Option<QuantizationError>,
}

/// What became of a checkpoint.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ConvertReport {
    /// Its tensors in the order in which they lie.
    pub tensors: Vec<TensorReport>,
    /// The error of all that was quantized.
    pub error: Option<QuantizationError>,
}

/// Told how many elements are written, of how many; decides whether to go on.
pub type OnConvert<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Writes `checkpoint` to `path` as `options` say: a GGUF file, or a directory as Hugging Face has
/// it. Nothing is at `path` before all of it is.
///
/// # Errors
/// Tensors that cannot be written as asked for, by name; a path that is taken;
/// [`LlmError::Interrupted`] when `progress` breaks. Nothing is left behind.
pub fn convert(
    checkpoint: &Checkpoint,
    path: &Path,
    options: &ConvertOptions,
    progress: &mut OnConvert<'_>,
) -> Result<ConvertReport> {
    let config = checkpoint.config()?;
    let planned = plan(checkpoint, &config, options)?;
    let main = main_encoding(&planned);
    let mut extra = None;
    let mut sink = match options.container {
        Container::Gguf => {
            let has_i2_s = planned.iter().any(|tensor| tensor.encoding == Encoding::I2S);
            let metadata = gguf_metadata(checkpoint, &config, main, has_i2_s)?;
            let mut specs = planned.iter().map(gguf_spec).collect::<Result<Vec<_>>>()?;
            if checkpoint.container() == Container::HuggingFace
                && let Some(divisors) = rope_divisors(&config)
            {
                let shape = vec![divisors.len()];
                let name = GGUF_ROPE_FREQS.to_owned();
                specs.insert(0, GgufTensorSpec { name, ggml_type: GgmlType::F32, shape });
                extra = Some(divisors.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
            }
            Sink::gguf(path, options.overwrite, &metadata, specs)?
        }
        Container::HuggingFace => {
            let texts = directory_texts(checkpoint, &config, &projections(&planned))?;
            let specs = planned.iter().flat_map(safetensors_specs).collect();
            Sink::directory(path, options.overwrite, &texts, specs)?
        }
    };
    let mut work = Work {
        checkpoint,
        measure: options.measure,
        scales: HashMap::new(),
        done: 0,
        total: planned.iter().map(|tensor| tensor.entry.elements()).sum(),
        progress,
    };
    let by_name: HashMap<&str, &Planned<'_>> =
        planned.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut report = Vec::with_capacity(planned.len());
    let mut sums = ErrorSums::default();
    while let Some(name) = sink.next_name() {
        if let Some(tensor) = by_name.get(name) {
            let (own, bytes) = work.write(tensor, &mut sink)?;
            sums.merge(&own);
            report.push(TensorReport {
                name: tensor.name.clone(),
                shape: tensor.entry.shape.clone(),
                from: tensor.entry.encoding.map_or_else(String::new, |e| e.to_string()),
                to: tensor.encoding.to_string(),
                bytes_before: tensor.entry.bytes,
                bytes,
                error: own.error(),
            });
        } else if let Some(tensor) = name.strip_suffix("_scale").and_then(|n| by_name.get(n)) {
            let scale = work.scales_of(tensor)?.tensor();
            let scale = scale.ok_or_else(|| {
                let reason =
                    "has several scales, and Hugging Face's form has one: quantize per tensor";
                checkpoint.fault(tensor.entry, reason)
            })?;
            sink.write(&scale.to_le_bytes())?;
        } else {
            sink.write(&extra.take().unwrap_or_default())?;
        }
    }
    sink.finish()?;
    Ok(ConvertReport { tensors: report, error: sums.error() })
}

fn gguf_spec(tensor: &Planned<'_>) -> Result<GgufTensorSpec> {
    Ok(GgufTensorSpec {
        name: tensor.name.clone(),
        // The plan holds no other encodings.
        ggml_type: tensor.encoding.ggml_type().unwrap_or(GgmlType::F32),
        shape: tensor.entry.shape.clone(),
    })
}

fn safetensors_specs(tensor: &Planned<'_>) -> Vec<TensorSpec> {
    let (name, mut shape) = (tensor.name.clone(), tensor.entry.shape.clone());
    match tensor.encoding {
        Encoding::HuggingFace => {
            shape[0] /= 4;
            let scale = format!("{name}_scale");
            vec![
                TensorSpec { name, dtype: RawDType::U8, shape },
                TensorSpec { name: scale, dtype: RawDType::F32, shape: vec![1] },
            ]
        }
        Encoding::Number(dtype) => vec![TensorSpec { name, dtype, shape }],
        // The plan holds no other encodings.
        Encoding::Block(_) | Encoding::I2S => Vec::new(),
    }
}

/// The encoding that most of the elements get.
fn main_encoding(planned: &[Planned<'_>]) -> Encoding {
    let mut counts: Vec<(Encoding, usize)> = Vec::new();
    for tensor in planned {
        match counts.iter_mut().find(|(encoding, _)| *encoding == tensor.encoding) {
            Some((_, count)) => *count += tensor.entry.elements(),
            None => counts.push((tensor.encoding, tensor.entry.elements())),
        }
    }
    let most = counts.iter().max_by_key(|(_, count)| *count);
    most.map_or(Encoding::Number(RawDType::F32), |(encoding, _)| *encoding)
}

fn projections(planned: &[Planned<'_>]) -> Projections {
    let ternary = planned.iter().any(|tensor| tensor.encoding == Encoding::HuggingFace);
    let dense = planned.iter().filter(|tensor| {
        ternary && tensor.entry.is_projection() && tensor.encoding != Encoding::HuggingFace
    });
    let name = |tensor: &Planned<'_>| tensor.name.trim_end_matches(".weight").to_owned();
    Projections { ternary, dense: dense.map(name).collect() }
}

struct Work<'a, 'b> {
    checkpoint: &'a Checkpoint,
    measure: bool,
    /// Of tensors whose scale was written and whose codes were not.
    scales: HashMap<String, Scales>,
    done: usize,
    total: usize,
    progress: &'a mut OnConvert<'b>,
}

impl Work<'_, '_> {
    fn scales_of(&mut self, tensor: &Planned<'_>) -> Result<Scales> {
        self.report(0)?;
        let matrix = self.checkpoint.matrix(tensor.entry)?;
        let scales = match tensor.rounding {
            Some(rule) => scales_of(&matrix, rule),
            None => matrix.scales(),
        };
        let scales =
            scales.map_err(|error| self.checkpoint.fault(tensor.entry, error.to_string()))?;
        self.scales.insert(tensor.name.clone(), scales.clone());
        Ok(scales)
    }

    /// Writes a tensor and returns its error and its bytes.
    fn write(&mut self, tensor: &Planned<'_>, sink: &mut Sink) -> Result<(ErrorSums, usize)> {
        let checkpoint = self.checkpoint;
        let matrix = checkpoint.matrix(tensor.entry)?;
        let scales = match (tensor.encoding.is_ternary(), self.scales.remove(&tensor.name)) {
            (false, _) => None,
            (true, Some(scales)) => Some(scales),
            (true, None) => {
                let scales = self.scales_of(tensor)?;
                self.scales.remove(&tensor.name);
                Some(scales)
            }
        };
        let codes = scales.as_ref().map(|scales| match tensor.rounding {
            Some(rule) => Codes::Rounded(scales, rule),
            None => Codes::Kept(scales),
        });
        let stored = Stored {
            scale: scales.as_ref().and_then(Scales::tensor).unwrap_or(1.0),
            ..Stored::default()
        };
        let measured = self.measure && tensor.is_quantized();
        let (mut sums, mut bytes, mut row) = (ErrorSums::default(), 0, 0);
        let cols = matrix.cols();
        let written =
            encode(&matrix, tensor.encoding, tensor.order, codes, &mut |rows, piece: &[u8]| {
                sink.write(piece)?;
                bytes += piece.len();
                if measured {
                    let part = Matrix::new([rows, cols], tensor.encoding, piece, stored)
                        .map_err(EncodeError::from)?;
                    sums.merge(&measure(&matrix, &part, row, tensor.order)?);
                }
                row += rows;
                self.report(rows * cols)?;
                Ok::<(), Failure>(())
            });
        match written {
            Ok(()) => Ok((sums, bytes)),
            Err(Failure::Other(error)) => Err(error),
            Err(Failure::Encode(error)) => Err(checkpoint.fault(tensor.entry, error.to_string())),
        }
    }

    fn report(&mut self, elements: usize) -> Result<()> {
        self.done += elements;
        match (self.progress)(Progress { done: self.done, total: self.total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(LlmError::Interrupted),
        }
    }
}

/// How far the rows of `part`, which are the rows from `first` on of the new order, are from those
/// of `source`.
fn measure(
    source: &Matrix<'_>,
    part: &Matrix<'_>,
    first: usize,
    order: RowOrder,
) -> Result<ErrorSums, EncodeError> {
    let mut rows = vec![ErrorSums::default(); part.rows()];
    let fault = super::scales::Fault::new();
    parallel::for_each_chunk_mut(&mut rows, 16, |piece, sums| {
        let (mut x, mut y) = (vec![0.0; source.cols()], vec![0.0; source.cols()]);
        for (index, sums) in sums.iter_mut().enumerate() {
            let row = piece * 16 + index;
            let read = source
                .read_row(order.logical(first + row), &mut x)
                .and_then(|()| part.read_row(row, &mut y));
            if fault.keep(read).is_some() {
                sums.add(&x, &y);
            }
        }
    });
    fault.into_result()?;
    let mut total = ErrorSums::default();
    rows.iter().for_each(|row| total.merge(row));
    Ok(total)
}

/// Why a tensor was not written: itself, or what surrounds it.
enum Failure {
    Encode(EncodeError),
    Other(LlmError),
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<LlmError> for Failure {
    fn from(error: LlmError) -> Self {
        Self::Other(error)
    }
}
