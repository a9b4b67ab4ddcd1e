//! What every public method of the tensor library has: an example in its documentation, cases
//! against numbers that are not ours, and, where it has a derivative, a check of it.
//!
//! The methods are read from the sources, the cases from the tests that name them. A method without
//! one stands below with the reason; a reason that no longer holds fails too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Methods of tensors and of their generator, and whether their documentation has an example.
struct Method {
    name: String,
    /// In `ops/`: an operation.
    is_operation: bool,
    has_example: bool,
}

/// Names and why they are left out.
type Reasons = &'static [(&'static str, &'static [&'static str])];

/// A form of another method: its documentation and its cases are that one's, and
/// `crates/bitnet-tensor/tests/{owned_forms,given_storage}.rs` compare the two.
fn is_form(name: &str) -> bool {
    name.starts_with("into_") || name.ends_with("_out")
}

/// Without a case against NumPy, PyTorch or ONNX.
const NO_CASES: Reasons = &[
    (
        "what a tensor is or where it lies: no computation",
        &["contiguous", "has_grad", "is_contiguous", "is_unique", "layout", "byte_size", "storage"],
    ),
    (
        "elements given or read where they lie: the examples, tests/ndarray.rs",
        &[
            "as_ndarray_view",
            "as_slice",
            "empty",
            "empty_like",
            "from_iterator",
            "from_nested",
            "full",
            "host_data",
            "host_data_mut",
            "shares_storage_with",
            "to_ndarray",
            "try_mut",
        ],
    ),
    (
        "files: against NumPy's and safetensors' own in tests/files.rs of both crates",
        &[
            "load_npy",
            "load_npz",
            "load_npz_within",
            "load_safetensors",
            "map_npy",
            "map_safetensors",
            "save_npy",
            "save_npz",
            "save_npz_compressed",
            "save_safetensors",
        ],
    ),
    ("comparisons for tests: tests/closeness.rs", &["allclose", "mismatch"]),
    (
        "numbers of our own generator (Philox, with its published answers): tests/creation.rs by \
         their distribution",
        &["bernoulli", "dropout", "normal", "permutation", "uniform"],
    ),
    (
        "quantized weights of our own making: the conformance suite, tests/quantization.rs",
        &[
            "bits",
            "fake_quantize",
            "from_parts",
            "granularity",
            "pack",
            "rms_norm_quantize",
            "scheme",
            "straight_through",
            "packed_from_parts",
            "unpack",
        ],
    ),
    (
        "weights as files have them: tests/blocks.rs of the kernels and tensors, which read what the \
         gguf package writes",
        &["block_bytes", "from_i2_s", "grouped_from_parts", "grouped_parts"],
    ),
    ("quantile_with, interpolated", &["quantile"]),
];

/// Without an example: what one word says.
const NO_EXAMPLE: Reasons = &[
    ("one word says it", &["device", "dtype", "element_count", "has_grad", "layout", "rank"]),
    (
        "for backends and readers of files",
        &[
            "from_i2_s",
            "grouped_from_parts",
            "grouped_parts",
            "host_data",
            "host_data_mut",
            "storage",
            "packed_parts",
        ],
    ),
    ("parts of a quantized activation", &["codes", "features", "scales", "sums"]),
];

/// Operations without a check of their derivative.
const NO_DERIVATIVE: Reasons = &[
    (
        "truth values, positions and counts",
        &[
            "all",
            "any",
            "argmax",
            "argmin",
            "argsort",
            "bincount",
            "count_nonzero",
            "histogram",
            "matrix_rank",
            "nonzero",
            "searchsorted",
            "unique",
        ],
    ),
    ("integers and bits", &["bitcast", "matmul_i32", "pack_bits", "unpack_bits"]),
    (
        "inference with quantized weights: fake_quantize is what training uses",
        &["prepare_weight", "rms_norm_quantize", "ternarize"],
    ),
    ("a measure, read by people", &["quantization_error"]),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crates' folder").to_path_buf()
}

/// The Rust files of a folder and of those in it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The name at the beginning of `text`.
fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

fn methods() -> Vec<Method> {
    let source = crates().join("bitnet-tensor/src");
    let mut methods = Vec::new();
    let folders = ["ops", "create", "tensor", "io", "random", "display"].map(|f| source.join(f));
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| sources(folder)).collect();
    files.extend(["closeness.rs", "grad.rs"].map(|file| source.join(file)));
    for path in files {
        let text = fs::read_to_string(&path).expect("a readable file");
        let is_operation = path.starts_with(source.join("ops"));
        let (mut of, mut has_example) = ("", false);
        for line in text.lines() {
            let trimmed = line.trim_start();
            if let Some(rest) = line.strip_prefix("impl") {
                of = word(rest[rest.find(' ').unwrap_or(0)..].trim_start());
            }
            if trimmed.starts_with("///") || trimmed.starts_with("#[") {
                has_example |= trimmed.contains("```");
                continue;
            }
            let is_ours = ["BitNetTensor", "Generator", "Quantized", "QuantizedActivation"];
            let declared = line.strip_prefix("    pub fn ").map(word);
            // A line of the tables of functions: the macro's documentation has the example.
            let kind = trimmed.split_once(" => ").map_or("", |(_, rest)| word(rest));
            let is_row = kind.starts_with(|c: char| c.is_uppercase()) && line.contains(", \"");
            let listed = is_row.then(|| word(trimmed)).filter(|name| {
                let rest = &trimmed[name.len()..];
                *name != "_" && rest.starts_with(" => ")
                    || rest.starts_with(&format!(", into_{name} => "))
            });
            if let Some(name) =
                declared.filter(|n| !n.is_empty() && is_ours.contains(&of)).or(listed)
            {
                methods.push(Method {
                    name: name.to_string(),
                    is_operation,
                    has_example: has_example || listed.is_some(),
                });
            }
            has_example = false;
        }
    }
    methods
}

/// The methods that a text calls or names: what follows a dot or two colons.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for separator in [".", "::"] {
        names.extend(text.split(separator).skip(1).map(|rest| word(rest).to_string()));
    }
    names
}

fn named_in(folders: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in folders {
        let path = crates().join(folder);
        let files = if path.is_dir() { sources(&path) } else { vec![path] };
        for file in files {
            names.extend(named(&fs::read_to_string(file).expect("a readable file")));
        }
    }
    names
}

/// Fails for a method that neither `has` nor stands in `reasons`, and for a reason without need.
fn judge(what: &str, methods: &[Method], reasons: Reasons, has: impl Fn(&Method) -> bool) {
    let reasoned: Vec<&str> = reasons.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let lacking: BTreeSet<&str> = methods
        .iter()
        .filter(|method| !is_form(&method.name) && !has(method))
        .map(|method| &*method.name)
        .collect();
    let unexplained: Vec<_> = lacking.iter().filter(|name| !reasoned.contains(name)).collect();
    assert!(unexplained.is_empty(), "{what}: neither that nor a reason: {unexplained:?}");
    let needless: Vec<_> = reasoned.iter().filter(|name| !lacking.contains(*name)).collect();
    assert!(needless.is_empty(), "{what}: no reason needed: {needless:?}");
}

#[test]
fn every_method_has_an_example() {
    let methods = methods();
    assert!(methods.len() > 300, "{} methods were found", methods.len());
    judge("an example", &methods, NO_EXAMPLE, |method| method.has_example);
}

#[test]
fn every_method_meets_numbers_from_elsewhere() {
    let named = named_in(&[
        "bitnet-testkit/tests/goldens",
        "bitnet-testkit/tests/onnx",
        // The tables of functions that the goldens look up by name.
        "bitnet-testkit/src/conformance/elementwise.rs",
    ]);
    judge("a case", &methods(), NO_CASES, |method| named.contains(&method.name));
}

/// What the documentation names beside NumPy and PyTorch is there.
#[test]
fn the_table_of_names_names_methods() {
    let table = crates().join("bitnet-tensor/src/ops/names.md");
    let text = fs::read_to_string(table).expect("a readable file");
    let known: BTreeSet<String> = methods().into_iter().map(|method| method.name).collect();
    // Words of the language, functions and arguments beside the methods.
    let others = ["clone", "ddof", "assert_close"];
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let mut count = 0;
    for row in rows.skip(1) {
        let row = row.replace("\\|", " ");
        let here = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default().to_string();
        for code in here.split('`').skip(1).step_by(2) {
            if word(code) == code && !others.contains(&code) {
                assert!(known.contains(code), "{code} of {row}");
                count += 1;
            }
        }
    }
    assert!(count > 80, "{count} names");
}

#[test]
fn every_derivative_is_checked() {
    let named = named_in(&[
        "bitnet-tensor/tests/gradients",
        "bitnet-testkit/src/conformance/elementwise.rs",
    ]);
    let mut operations = methods();
    // Methods of quantized tensors are no steps of a tape.
    let quantization = crates().join("bitnet-tensor/src/ops/quantization");
    let of_parts: BTreeSet<String> = ["activation.rs", "bits.rs", "quantized.rs", "scheme.rs"]
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(quantization.join(file)).expect("a readable file");
            let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub fn "));
            names.map(|rest| word(rest).to_string()).collect::<Vec<_>>()
        })
        .filter(|name| !["pack_bits", "unpack_bits"].contains(&&**name))
        .collect();
    operations.retain(|method| method.is_operation && !of_parts.contains(&method.name));
    judge("a check of its derivative", &operations, NO_DERIVATIVE, |method| {
        named.contains(&method.name)
    });
}
