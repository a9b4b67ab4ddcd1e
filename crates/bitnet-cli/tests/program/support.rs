//! Running the program, and a model small enough to be written for each test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The program, undisturbed by the environment of the tests.
pub(crate) fn bitnet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bitnet"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["LIMIT", "CACHE", "TRACKING"] {
        command.env_remove(format!("BITNET_MEMORY_{name}"));
    }
    for variable in [
        "BITNET_DEVICE",
        "BITNET_STRATEGY",
        "BITNET_FALLBACK",
        "BITNET_NUM_THREADS",
        "BITNET_ISA",
        "BITNET_PEERS",
    ] {
        command.env_remove(variable);
    }
    command
}

/// What it wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    }
}

impl Ended {
    /// The one JSON object that is all of the output of a success.
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The output of a success, which complains of nothing.
    pub(crate) fn text(&self) -> &str {
        assert_eq!((self.status, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        &self.stdout
    }

    /// Asserts a failure that writes one line with all of `parts` to standard error.
    #[track_caller]
    pub(crate) fn assert_error(&self, parts: &[&str]) {
        assert_eq!((self.status, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

pub(crate) fn run(arguments: &[&str]) -> Ended {
    bitnet(arguments).output().expect("the program starts").into()
}

pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = bitnet(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // The inputs of these tests fit the pipe, so that writing cannot wait for the program.
    child.stdin.take().expect("a pipe").write_all(input).expect("the program reads");
    child.wait_with_output().expect("the program ends").into()
}

/// Asserts that each of `keys` is a number above zero.
#[track_caller]
pub(crate) fn assert_positive(report: &Value, keys: &[&str]) {
    for key in keys {
        assert!(report[key].as_f64() > Some(0.0), "{key} in {report}");
    }
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// What Hugging Face transformers computes from the embedded model.
pub(crate) fn golden() -> Value {
    let path = repository("crates/bitnet-llm/tests/golden/stories-27m.json");
    serde_json::from_slice(&std::fs::read(path).expect("the golden data")).expect("JSON")
}

/// A tensor of a file that a test writes.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

/// One layer in the shape of a BitNet model, in a directory of its own, with the tokenizer of the
/// embedded model. Tests break a copy of it.
pub(crate) struct TinyModel {
    directory: TempDir,
    pub(crate) config: Value,
    pub(crate) tensors: Vec<Tensor>,
}

const HIDDEN: usize = 64;
const FFN: usize = 128;
const KV_WIDTH: usize = 32;
const VOCABULARY: usize = 4096;

impl TinyModel {
    /// A model that runs.
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            let source = repository("models/stories-27m").join(file);
            std::fs::copy(source, directory.path().join(file)).expect("a copy");
        }
        let config = json!({
            "architectures": ["BitNetForCausalLM"], "hidden_act": "relu2", "hidden_size": HIDDEN,
            "intermediate_size": FFN, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "vocab_size": VOCABULARY, "max_position_embeddings": 64,
            "tie_word_embeddings": true,
            "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"}
        });
        let mut model = Self { directory, config, tensors: Vec::new() };
        model.floats("model.embed_tokens.weight", &[VOCABULARY, HIDDEN]);
        model.floats("model.norm.weight", &[HIDDEN]);
        for (norm, width) in [
            ("input_layernorm", HIDDEN),
            ("post_attention_layernorm", HIDDEN),
            ("self_attn.attn_sub_norm", HIDDEN),
            ("mlp.ffn_sub_norm", FFN),
        ] {
            model.floats(&format!("model.layers.0.{norm}.weight"), &[width]);
        }
        for (projection, rows, columns) in [
            ("self_attn.q_proj", HIDDEN, HIDDEN),
            ("self_attn.k_proj", KV_WIDTH, HIDDEN),
            ("self_attn.v_proj", KV_WIDTH, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_proj", FFN, HIDDEN),
            ("mlp.up_proj", FFN, HIDDEN),
            ("mlp.down_proj", HIDDEN, FFN),
        ] {
            let name = format!("model.layers.0.{projection}.weight");
            // Four codes of 0, 1, 2, which stand for −1, 0, 1.
            let data = (0..rows / 4 * columns)
                .map(|i| [0b00_01_10_00, 0b10_01_00_10, 0b01_10_00_01][i % 3]);
            model.tensors.push(Tensor {
                name: name.clone(),
                dtype: "U8",
                shape: vec![rows / 4, columns],
                data: data.collect(),
            });
            model.tensors.push(Tensor {
                name: format!("{name}_scale"),
                dtype: "F32",
                shape: vec![1],
                data: 0.05f32.to_le_bytes().to_vec(),
            });
        }
        model
    }

    fn floats(&mut self, name: &str, shape: &[usize]) {
        let count: usize = shape.iter().product();
        let value = |i: usize| 0.5 + (i * 7919 % 1000) as f32 / 1000.0;
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dtype: "F32",
            shape: shape.to_vec(),
            data: (0..count).flat_map(|i| value(i).to_le_bytes()).collect(),
        });
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("a tensor of the model")
    }

    pub(crate) fn path(&self) -> &str {
        self.directory.path().to_str().expect("a path in UTF-8")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn weights(&self) -> PathBuf {
        self.file("model.safetensors")
    }

    /// Writes configuration and weights.
    pub(crate) fn write(&self) -> &Self {
        let (header, data) = layout(&self.tensors);
        self.write_config().write_weights(&header, &data)
    }

    pub(crate) fn write_config(&self) -> &Self {
        std::fs::write(self.file("config.json"), self.config.to_string()).expect("written");
        self
    }

    pub(crate) fn write_weights(&self, header: &Map<String, Value>, data: &[u8]) -> &Self {
        let header = Value::Object(header.clone()).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        std::fs::write(self.weights(), bytes).expect("written");
        self
    }

    pub(crate) fn generate(&self) -> Ended {
        run(&["generate", "Once", "--max-tokens", "3", "--json", "--model", self.path()])
    }
}

/// The header of a safetensors file, and the bytes after it.
pub(crate) fn layout(tensors: &[Tensor]) -> (Map<String, Value>, Vec<u8>) {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for tensor in tensors {
        let begin = data.len();
        data.extend(&tensor.data);
        let entry = json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, data.len()]});
        header.insert(tensor.name.clone(), entry);
    }
    (header, data)
}
