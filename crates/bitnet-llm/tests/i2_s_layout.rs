//! I2_S tensors have blocks of 128 weights or of 64, and nothing in their bytes says which: what
//! tells it, and that a file is refused where nothing does.

use std::ops::ControlFlow;
use std::path::Path;

use bitnet_formats::gguf::{Gguf, GgufTensorSpec, GgufWriter, MetadataBuilder};
use bitnet_llm::checkpoint::{Checkpoint, Container, ConvertOptions, Encoding, convert};
use bitnet_llm::{LoadOptions, Model, ModelFiles, Session};
use bitnet_tensor::I2sBlock;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Where our files say it.
const KEY: &str = "quantize.i2_s.block_length";

/// The file, with or without that key, its norms before the feed-forward perhaps all ones: then
/// nothing fits to them better than anything else.
fn rewritten(
    file: &[u8],
    says_it: bool,
    plain_norms: bool,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let gguf = Gguf::parse(file)?;
    let mut metadata = MetadataBuilder::new();
    for (key, value) in gguf.metadata().entries() {
        if *key != KEY || says_it {
            metadata.push(key, *value)?;
        }
    }
    let specs = gguf.tensors().iter().map(|tensor| GgufTensorSpec {
        name: tensor.name.to_owned(),
        ggml_type: tensor.ggml_type,
        shape: tensor.shape.clone(),
    });
    let mut writer = GgufWriter::new(Vec::new(), &metadata, specs.collect())?;
    for tensor in gguf.tensors() {
        if plain_norms && tensor.name.ends_with("ffn_norm.weight") {
            let one = if tensor.data.len() == 2 * tensor.shape[0] {
                half::bf16::ONE.to_le_bytes().to_vec()
            } else {
                1f32.to_le_bytes().to_vec()
            };
            writer.write_next(&one.repeat(tensor.shape[0]))?;
        } else {
            writer.write_next(tensor.data)?;
        }
    }
    Ok(writer.finish()?)
}

fn logits(files: &ModelFiles) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let model = Model::from_files(files, &LoadOptions::default())?;
    Ok(Session::new(&model)?.read(&[0, 1811, 797])?.to_vec()?)
}

#[test]
fn unclear_blocks_are_refused_unless_they_are_named() -> TestResult {
    let stories = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.gguf");
    let to_i2_s =
        ConvertOptions { ternary: Some(Encoding::I2S), ..ConvertOptions::new(Container::Gguf) };
    let goes_on = &mut |_| ControlFlow::Continue(());
    convert(&Checkpoint::open(&stories)?, &path, &to_i2_s, goes_on)?;
    let written = std::fs::read(&path)?;
    let expected = logits(&ModelFiles::open(&path)?)?;

    // A file of somebody else: the norms tell.
    std::fs::write(&path, rewritten(&written, false, false)?)?;
    assert!(logits(&ModelFiles::open(&path)?)? == expected);

    // Norms that tell nothing, and a file that says it.
    std::fs::write(&path, rewritten(&written, true, true)?)?;
    let plain = logits(&ModelFiles::open(&path)?)?;
    assert!(plain != expected);

    // Nothing tells.
    std::fs::write(&path, rewritten(&written, false, true)?)?;
    let refused = |error: String| {
        let named = "attn_q.weight: is I2_S, and nothing tells whether its blocks have 128 weights";
        assert!(error.contains(named) && error.contains("--i2-s-block 128"), "{error}");
    };
    refused(logits(&ModelFiles::open(&path)?).unwrap_err().to_string());
    let checkpoint = Checkpoint::open(&path)?;
    let entry = checkpoint.tensors().iter().find(|entry| entry.name.ends_with("q_proj.weight"));
    refused(checkpoint.matrix(entry.ok_or("a projection")?).unwrap_err().to_string());
    let named = |block| ModelFiles::open(&path).map(|files| files.with_i2_s_block(block));
    assert!(logits(&named(I2sBlock::Of128)?)? == plain);
    assert!(logits(&named(I2sBlock::Of64)?)? != plain);
    Ok(())
}
