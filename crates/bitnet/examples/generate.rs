//! Continues a text with the embedded model, or with the model in a directory.
//!
//! ```text
//! cargo run --release -p bitnet --example generate -- "Once upon a time" [MODEL]
//! ```

use std::io::{Write, stdout};
use std::path::Path;

use bitnet::llm::tokenizer::BosPolicy;
use bitnet::{GenerationOptions, Generator, LoadOptions, Model, Session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let prompt = arguments.next().unwrap_or_else(|| "Once upon a time".into());
    let model = match arguments.next() {
        Some(path) => Model::load(Path::new(&path), &LoadOptions::default())?,
        None => bitnet::embedded::load_stories_27m(&LoadOptions::default())?,
    };

    let ids = model.tokenizer()?.encode(&prompt, BosPolicy::Auto)?;
    let mut options = GenerationOptions { max_tokens: Some(200), ..GenerationOptions::default() };
    options.sampling.temperature = 0.7;
    options.sampling.top_p = 0.95;

    print!("{prompt}");
    let mut session = Session::new(&model)?;
    let mut generator = Generator::new(&mut session, &ids, &options)?;
    while let Some(piece) = generator.next_piece()? {
        print!("{piece}");
        stdout().flush()?;
    }
    let timing = generator.finish().timing;
    println!("\n\n{:.0} tokens/s", timing.decode_tokens_per_second());
    Ok(())
}
