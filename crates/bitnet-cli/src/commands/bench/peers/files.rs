//! The files that peers read: of the same shape as our model, in the type of weights that each runs
//! best, with an output head of as many bits as ours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bitnet::llm::checkpoint::{
    Checkpoint, Container, ConvertOptions, Encoding, Pattern, convert, write_synthetic,
};
use bitnet::llm::config::{Activation, ModelConfig};
use bitnet::{HeadPrecision, ModelFiles, embedded};
use tempfile::TempDir;

use crate::args::LayoutArguments;
use crate::commands::bench::SEED;
use crate::interrupt::Generating;

/// What is measured.
pub(in crate::commands::bench) struct Subject {
    pub(in crate::commands::bench) origin: Origin,
    pub(in crate::commands::bench) head: HeadPrecision,
}

/// Where the weights come from.
pub(in crate::commands::bench) enum Origin {
    /// Nowhere: those of peers are random too.
    Synthetic(ModelConfig),
    /// The user's model.
    Files(PathBuf, LayoutArguments),
    /// The model inside of the program.
    Embedded,
}

/// The files, in a folder that goes with this.
pub(super) struct Files {
    subject: Subject,
    folder: TempDir,
    written: HashMap<String, PathBuf>,
}

impl Files {
    pub(super) fn new(subject: Subject) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bitnet-bench-").tempdir();
        let folder = folder.context("a folder for the files of other programs")?;
        Ok(Self { subject, folder, written: HashMap::new() })
    }

    pub(super) fn is_synthetic(&self) -> bool {
        matches!(self.subject.origin, Origin::Synthetic(_))
    }

    /// A GGUF file: the user's own where the model is one, else one with ternary weights of that type.
    /// Random weights get SiLU where that is asked for.
    pub(super) fn gguf(
        &mut self,
        ternary: &str,
        silu: bool,
        running: &Generating,
    ) -> Result<PathBuf> {
        if let Origin::Files(path, _) = &self.subject.origin
            && !path.is_dir()
        {
            return Ok(path.clone());
        }
        let silu = silu && self.is_synthetic();
        let name = format!("{ternary}{}.gguf", if silu { "-silu" } else { "" });
        if let Some(path) = self.written.get(&name) {
            return Ok(path.clone());
        }
        let checkpoint = self.checkpoint(silu, running)?;
        let head = match self.subject.head {
            HeadPrecision::Exact => None,
            HeadPrecision::Int8 => Encoding::from_name("q8_0"),
            HeadPrecision::Int6 => Encoding::from_name("q6_k"),
        };
        // The output head is the embedding, or a tensor of its own.
        let tied = checkpoint.config()?.tie_word_embeddings;
        let names: &[&str] = if tied { &["token_embd"] } else { &["token_embd", "output"] };
        let options = ConvertOptions {
            ternary: Encoding::from_name(ternary),
            tensors: names.iter().flat_map(|name| Some((Pattern::new(name), head?))).collect(),
            ..ConvertOptions::new(Container::Gguf)
        };
        let path = self.folder.path().join(&name);
        convert(&checkpoint, &path, &options, &mut |_| running.flow())?;
        self.written.insert(name, path.clone());
        Ok(path)
    }

    /// A directory as on Hugging Face: the user's own where the model is one.
    pub(super) fn directory(&mut self, running: &Generating) -> Result<PathBuf> {
        if self.is_synthetic() {
            return self.synthetic(false, running);
        }
        if let Origin::Files(path, _) = &self.subject.origin
            && path.is_dir()
        {
            return Ok(path.clone());
        }
        let name = "directory".to_owned();
        if let Some(path) = self.written.get(&name) {
            return Ok(path.clone());
        }
        let checkpoint = self.checkpoint(false, running)?;
        let path = self.folder.path().join(&name);
        let options = ConvertOptions::new(Container::HuggingFace);
        convert(&checkpoint, &path, &options, &mut |_| running.flow())?;
        self.written.insert(name, path.clone());
        Ok(path)
    }

    /// What files are made of.
    fn checkpoint(&mut self, silu: bool, running: &Generating) -> Result<Checkpoint> {
        Ok(match &self.subject.origin {
            Origin::Synthetic(_) => Checkpoint::open(&self.synthetic(silu, running)?)?,
            Origin::Files(path, layout) => Checkpoint::new(layout.open(path)?),
            Origin::Embedded => Checkpoint::new(ModelFiles::embedded(embedded::stories_27m())?),
        })
    }

    /// Random weights, as a directory.
    fn synthetic(&mut self, silu: bool, running: &Generating) -> Result<PathBuf> {
        let name = if silu { "synthetic-silu" } else { "synthetic" };
        let path = self.folder.path().join(name);
        if let (Origin::Synthetic(config), false) = (&self.subject.origin, path.exists()) {
            let mut config = config.clone();
            if silu {
                config.hidden_act = Activation::Silu;
            }
            write(&config, &path, running)?;
        }
        Ok(path)
    }
}

fn write(config: &ModelConfig, path: &Path, running: &Generating) -> Result<()> {
    let vocabulary = embedded::stories_27m();
    Ok(write_synthetic(config, vocabulary, SEED, path, &mut |_| running.flow())?)
}
