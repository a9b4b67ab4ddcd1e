//! `bitnet chat`: a conversation. The keys and values of what was said stay in one session, so
//! each turn reads only what is new.
//!
//! For that the tokens of an answer stay the ones that were generated. Encoding the whole text anew
//! would cut it otherwise here and there: after `Assistant: ` a model goes on with `The`, where the
//! tokenizer would have made ` The` of the two.

use std::io::{self, BufRead, IsTerminal, StdinLock};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use bitnet::llm::chat_template::{ChatTemplate, Message};
use bitnet::llm::generation::FinishReason;
use bitnet::llm::sampler::SamplingParams;
use bitnet::llm::tokenizer::BosPolicy;
use bitnet::{Generation, GenerationOptions, Generator, LlmError, Model, Session};
use clap::Args;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde::Serialize;

use super::generate::figures;
use crate::args::{ModelArguments, OutputArguments, SamplingArguments, suggested};
use crate::interrupt::{self, Generating};
use crate::progress::LazyBar;
use crate::{loading, output};

/// Talk with a model
///
/// Each line is a message. Ctrl-C ends an answer, Ctrl-D or /exit the program; /reset forgets the
/// conversation. When the conversation no longer fits the context, its oldest exchanges are
/// forgotten, with a notice. Where standard input is not a terminal, its lines are the messages.
#[derive(Args)]
#[command(after_help = "\
Sampling defaults to what the model's generation_config.json suggests, else --temperature 0.7 \
--top-p 0.95.

Examples:
  bitnet chat --system \"You are a friendly teacher.\"
  printf 'Hello.\\nWho are you?\\n' | bitnet chat --json")]
pub(crate) struct Arguments {
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// The most tokens of an answer
    #[arg(long, short = 'n', value_name = "N", default_value_t = 512)]
    max_tokens: usize,

    #[command(flatten)]
    sampling: SamplingArguments,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    output: OutputArguments,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Turn<'a> {
    text: &'a str,
    finish_reason: FinishReason,
    prompt_tokens: usize,
    /// Of the prompt, those that were not in the session already.
    prefill_tokens: usize,
    generated_tokens: usize,
    forgotten_messages: usize,
    time_to_first_token_seconds: f64,
    decode_tokens_per_second: f64,
}

const HELP: &str = "/reset forgets the conversation, /exit or Ctrl-D leaves, Ctrl-C ends an answer";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let quiet = arguments.output.quiet;
    let mut input = Input::open()?;
    let (model, name) = loading::load(&arguments.model, quiet)?;
    let template =
        model.chat_template().context("the model has no chat template; use bitnet generate")?;
    let defaults = SamplingParams { temperature: 0.7, top_p: 0.95, ..SamplingParams::default() };
    let options = GenerationOptions {
        sampling: arguments.sampling.over(suggested(model.generation_config(), defaults)),
        max_tokens: Some(arguments.max_tokens),
        ..GenerationOptions::default()
    };
    let mut conversation = Conversation::new(&model, template, arguments.system.as_deref())?;
    if input.is_interactive() {
        interrupt::converse();
        if !quiet {
            output::notice(&format!("{name}. {HELP}."));
        }
    }

    while let Some(line) = input.next_line()? {
        match line.trim() {
            "" => {}
            "/exit" | "/quit" => break,
            "/help" => output::notice(HELP),
            "/reset" => conversation.reset(),
            command if command.starts_with('/') && input.is_interactive() => {
                output::notice(&format!("there is no {command}; {HELP}"));
            }
            message => {
                let answered = answer(&mut conversation, message, &options, &arguments.output);
                match answered {
                    // One message too long is no reason to end a conversation.
                    Err(error) if input.is_interactive() && !output::is_closed_pipe(&error) => {
                        output::notice(&format!(
                            "error: {}",
                            output::one_line(&format!("{error:#}"))
                        ));
                    }
                    answered => answered?,
                }
            }
        }
    }
    input.save();
    Ok(ExitCode::SUCCESS)
}

fn answer(
    conversation: &mut Conversation<'_>,
    message: &str,
    options: &GenerationOptions,
    arguments: &OutputArguments,
) -> Result<()> {
    let mut piece_written =
        |piece: &str| if arguments.json { Ok(()) } else { output::write(piece) };
    let (generation, forgotten) =
        conversation.answer(message, options, arguments.quiet, &mut piece_written)?;
    if arguments.json {
        output::write_json(&Turn {
            text: &generation.text,
            finish_reason: generation.finish_reason,
            prompt_tokens: generation.prompt_ids.len(),
            prefill_tokens: generation.timing.prefill_tokens,
            generated_tokens: generation.generated_ids.len(),
            forgotten_messages: forgotten,
            time_to_first_token_seconds: generation.timing.first_token.as_secs_f64(),
            decode_tokens_per_second: generation.timing.decode_tokens_per_second(),
        })?;
    } else {
        output::write("\n")?;
    }
    if forgotten > 0 && !arguments.quiet {
        output::notice(&format!(
            "({forgotten} oldest messages no longer fit the context and are forgotten)"
        ));
    }
    if output::is_watched(arguments.quiet) {
        output::notice(&format!("({})", figures(&generation)));
    }
    Ok(())
}

/// What was said, and the session that has read it.
struct Conversation<'a> {
    template: &'a ChatTemplate,
    session: Session,
    system: Option<Message>,
    /// User and assistant by turns.
    messages: Vec<Message>,
    /// What was rendered for the last answer, and the answer; absent when there is none.
    last: Option<Exchange>,
    turns: u64,
}

struct Exchange {
    prompt: String,
    answer: String,
    /// The tokens of both.
    ids: Vec<u32>,
}

impl<'a> Conversation<'a> {
    fn new(model: &Arc<Model>, template: &'a ChatTemplate, system: Option<&str>) -> Result<Self> {
        let system = system.map(|text| Message::new("system", text));
        Ok(Self {
            template,
            session: Session::new(model)?,
            system,
            messages: Vec::new(),
            last: None,
            turns: 0,
        })
    }

    fn reset(&mut self) {
        self.messages.clear();
        self.last = None;
    }

    /// The answer, and how many messages had to be forgotten for it. A message that cannot be
    /// answered is not part of the conversation.
    fn answer(
        &mut self,
        message: &str,
        options: &GenerationOptions,
        quiet: bool,
        write: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<(Generation, usize)> {
        self.messages.push(Message::new("user", message));
        let answered = self.answer_last(options, quiet, write);
        match &answered {
            Ok((generation, _)) => {
                self.messages.push(Message::new("assistant", generation.text.as_str()))
            }
            Err(_) => drop(self.messages.pop()),
        }
        answered
    }

    fn answer_last(
        &mut self,
        options: &GenerationOptions,
        quiet: bool,
        write: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<(Generation, usize)> {
        let wanted = options.max_tokens.unwrap_or(usize::MAX);
        let Prompt { text, ids, forgotten } = self.fit(wanted)?;
        // Each turn draws its own numbers, all of them from the one seed.
        let mut options = options.clone();
        options.sampling.seed = options.sampling.seed.wrapping_add(self.turns);
        self.turns += 1;

        let generating = Generating::begin();
        let mut bar = LazyBar::new("reading tokens", quiet);
        let mut progress = |done, total| {
            bar.update(done, total);
            generating.flow()
        };
        let generator = Generator::with_progress(&mut self.session, &ids, &options, &mut progress);
        drop(bar);
        let mut generator = match generator {
            Err(LlmError::Interrupted) => return Ok((Generation::cancelled(ids), forgotten)),
            generator => generator?,
        };
        loop {
            if generating.is_requested() {
                write(&generator.cancel()?)?;
                break;
            }
            match generator.next_piece()? {
                Some(piece) => write(&piece)?,
                None => break,
            }
        }
        let generation = generator.finish();
        self.last = Some(Exchange {
            prompt: text,
            answer: generation.text.clone(),
            ids: [ids.as_slice(), &generation.generated_ids].concat(),
        });
        Ok((generation, forgotten))
    }

    /// The conversation as the model reads it. While that leaves too little room for an answer of
    /// `wanted` tokens (a quarter of the context is always enough), the oldest exchange is
    /// forgotten.
    fn fit(&mut self, wanted: usize) -> Result<Prompt> {
        let capacity = self.session.capacity();
        let room = wanted.min(capacity / 4);
        let mut forgotten = 0;
        loop {
            let messages: Vec<_> = self.system.iter().chain(&self.messages).cloned().collect();
            let text = self.template.render(&messages, true)?;
            let ids = self.encode(&text)?;
            let tokens = ids.len();
            // A message alone may use the room of the answer. Once something must go, half of the
            // context is made free, so that the next turns are not all read anew.
            let alone = self.messages.len() < 3;
            let limit = match (alone, forgotten) {
                (true, _) => capacity,
                (false, 0) => capacity - room,
                (false, _) => capacity / 2,
            };
            if tokens <= limit {
                return Ok(Prompt { text, ids, forgotten });
            }
            if alone {
                return Err(LlmError::ContextExceeded { tokens, context: capacity }.into());
            }
            self.messages.drain(..2);
            forgotten += 2;
        }
    }

    /// The tokens of a rendered conversation; where it goes on from the last answer, those that are
    /// in the session and then what is new.
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let (known, new) = match self.last.as_ref().and_then(|last| last.continued_by(text)) {
            Some((ids, new)) => (ids, new),
            None => (&[][..], text),
        };
        // The template writes the beginning-of-text token itself.
        let new = self.session.model().tokenizer()?.encode(new, BosPolicy::Never)?;
        Ok([known, &new].concat())
    }
}

struct Prompt {
    text: String,
    ids: Vec<u32>,
    /// Messages that had no room.
    forgotten: usize,
}

impl Exchange {
    /// The tokens of this exchange and the text after it, if `text` begins with it. Templates
    /// usually trim an answer.
    fn continued_by<'t>(&self, text: &'t str) -> Option<(&[u32], &'t str)> {
        let rest = text.strip_prefix(&self.prompt)?;
        let rest =
            rest.strip_prefix(&self.answer).or_else(|| rest.strip_prefix(self.answer.trim()))?;
        Some((&self.ids, rest))
    }
}

/// Where messages come from.
enum Input {
    Editor { editor: Box<DefaultEditor>, history: Option<PathBuf> },
    Lines(StdinLock<'static>),
}

impl Input {
    fn open() -> Result<Self> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Ok(Self::Lines(io::stdin().lock()));
        }
        let mut editor = Box::new(DefaultEditor::new()?);
        let history = history_file();
        if let Some(path) = &history {
            // The first conversation has none.
            let _ = editor.load_history(path);
        }
        Ok(Self::Editor { editor, history })
    }

    fn is_interactive(&self) -> bool {
        matches!(self, Self::Editor { .. })
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        match self {
            Self::Editor { editor, .. } => loop {
                match editor.readline("> ") {
                    Ok(line) => {
                        if !line.trim().is_empty() {
                            editor.add_history_entry(&line)?;
                        }
                        return Ok(Some(line));
                    }
                    Err(ReadlineError::Interrupted) => output::notice("(Ctrl-D or /exit leaves)"),
                    Err(ReadlineError::Eof) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
            },
            Self::Lines(lines) => {
                let mut line = String::new();
                let read = lines.read_line(&mut line).context("standard input")?;
                Ok((read > 0).then_some(line))
            }
        }
    }

    /// Keeps what was typed for the next time.
    fn save(self) {
        let Self::Editor { mut editor, history: Some(path) } = self else { return };
        let directory = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let saved =
            directory.map_err(ReadlineError::from).and_then(|()| editor.save_history(&path));
        if let Err(error) = saved {
            output::notice(&format!("the history is not kept: {}: {error}", path.display()));
        }
    }
}

/// Where the system wants programs to keep such things.
fn history_file() -> Option<PathBuf> {
    let set =
        |key: &str| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| set("LOCALAPPDATA"));
    let state = state.or_else(|| Some(set("HOME")?.join(".local").join("state")));
    Some(state?.join("bitnet").join("chat-history.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_from_an_answer_keeps_its_tokens() {
        let exchange =
            Exchange { prompt: "U: Hi. A: ".into(), answer: " Hello.\n".into(), ids: vec![1, 2] };
        assert_eq!(
            exchange.continued_by("U: Hi. A:  Hello.\n U: Bye."),
            Some((&[1, 2][..], " U: Bye."))
        );
        assert_eq!(exchange.continued_by("U: Hi. A: Hello.<eot>"), Some((&[1, 2][..], "<eot>")));
        assert_eq!(exchange.continued_by("U: Hi. A: Something else."), None);
        assert_eq!(exchange.continued_by("U: Ho."), None);
    }
}
