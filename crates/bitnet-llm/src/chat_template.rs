//! Chat templates: the Jinja program that comes with a model and turns messages into its prompt,
//! run as Hugging Face transformers runs it.
//!
//! A template is code from a file that somebody downloaded: it can only compute text, and the
//! number of its steps is bounded.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, context};
use serde::{Deserialize, Serialize};

use crate::tokenizer::{BosPolicy, Tokenizer, TokenizerError};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: usually `system`, `user` or `assistant`; the template decides what it accepts.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of that role.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A compiled chat template with the special tokens it may write.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

const NAME: &str = "chat_template";

/// What one rendering may spend, an instruction costing 1 and 64 bytes as much: several thousand
/// messages' worth, and well under a second and 64 MB for a template that never ends.
const FUEL: u64 = 1_000_000;

impl ChatTemplate {
    /// Compiles a template; `bos_token` and `eos_token` are what it sees under these names (empty
    /// where the tokenizer has none).
    ///
    /// ```
    /// use bitnet_llm::chat_template::{ChatTemplate, Message};
    ///
    /// let source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\
    ///               {% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    /// let template = ChatTemplate::new(source, "", "</s>")?;
    /// let prompt = template.render(&[Message::new("user", "Hi")], true)?;
    /// assert_eq!(prompt, "<|user|>Hi</s><|assistant|>");
    /// # Ok::<(), bitnet_llm::chat_template::ChatTemplateError>(())
    /// ```
    ///
    /// # Errors
    /// [`ChatTemplateError::Template`] with line and reason where the source is not valid.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self, ChatTemplateError> {
        let mut environment = environment()?;
        environment.add_template_owned(NAME, plain_jinja(source))?;
        Ok(Self { environment, bos_token: bos_token.to_owned(), eos_token: eos_token.to_owned() })
    }

    /// The template of a checkpoint directory: the text of `chat_template.jinja` where that file
    /// exists, else `chat_template` in `tokenizer_config.json`, a string or a list of
    /// `{name, template}` of which `default` counts. `None` where the model has none.
    ///
    /// # Errors
    /// As [`new`](Self::new); also where `tokenizer_config.json` is malformed.
    pub fn from_files(
        tokenizer: &Tokenizer,
        tokenizer_config: Option<&[u8]>,
        chat_template_jinja: Option<&str>,
    ) -> Result<Option<Self>, ChatTemplateError> {
        let source = template_source(tokenizer_config, chat_template_jinja)?;
        source.map(|source| Self::for_tokenizer(&source, tokenizer)).transpose()
    }

    /// Compiles a template with the special tokens of `tokenizer`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn for_tokenizer(source: &str, tokenizer: &Tokenizer) -> Result<Self, ChatTemplateError> {
        let bos = tokenizer.bos_token().unwrap_or_default();
        let eos = tokenizer.eos_token().unwrap_or_default();
        Self::new(source, bos, eos)
    }

    /// The prompt of a conversation. With `add_generation_prompt` it ends where the assistant
    /// begins to speak. Encode it with [`BosPolicy::Never`]: a template writes its own BOS.
    ///
    /// # Errors
    /// [`ChatTemplateError::Template`]: among others what the template itself says about roles
    /// that it does not accept.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, ChatTemplateError> {
        let template = self.environment.get_template(NAME)?;
        let messages: Vec<Value> = messages
            .iter()
            .map(|m| Value::from_pairs([("role", &m.role), ("content", &m.content)]))
            .collect();
        let prompt = template.render(context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
            tools => Value::from(()),
            documents => Value::from(()),
        })?;
        Ok(prompt)
    }

    /// The special token that this template writes after an assistant's turn, found by rendering
    /// one: generation should stop at it. `None` where no special token follows directly.
    ///
    /// # Errors
    /// The template refuses a plain exchange of user and assistant, or the tokenizer fails.
    pub fn turn_end(&self, tokenizer: &Tokenizer) -> Result<Option<u32>, ChatTemplateError> {
        const ANSWER: &str = "turn-end-probe";
        let messages = [Message::new("user", "question"), Message::new("assistant", ANSWER)];
        let prompt = self.render(&messages, false)?;
        let Some((_, after)) = prompt.rsplit_once(ANSWER) else {
            return Ok(None);
        };
        let ids = tokenizer.encode(after.trim_start(), BosPolicy::Never)?;
        Ok(ids.first().copied().filter(|&id| tokenizer.is_special(id)))
    }
}

/// Why a chat template could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatTemplateError {
    /// The template is not valid, or refused the messages.
    #[error("chat template: {reason}")]
    Template {
        /// What the template engine or the template itself says.
        reason: String,
    },
    /// `tokenizer_config.json` does not hold a template in a known form.
    #[error("tokenizer_config.json: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer failed on the rendered text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl From<Error> for ChatTemplateError {
    fn from(error: Error) -> Self {
        let detail = error.detail().map(str::to_owned);
        let mut reason = detail.unwrap_or_else(|| error.kind().to_string());
        if let Some(line) = error.line() {
            let _ = write!(reason, " (line {line})");
        }
        Self::Template { reason }
    }
}

/// The text of a checkpoint directory's template: see [`ChatTemplate::from_files`].
pub(crate) fn template_source(
    tokenizer_config: Option<&[u8]>,
    chat_template_jinja: Option<&str>,
) -> Result<Option<String>, ChatTemplateError> {
    match (chat_template_jinja, tokenizer_config) {
        (Some(source), _) => Ok(Some(source.to_owned())),
        (None, Some(json)) => template_in_config(json),
        (None, None) => Ok(None),
    }
}

fn template_in_config(json: &[u8]) -> Result<Option<String>, ChatTemplateError> {
    #[derive(Deserialize)]
    struct Config {
        chat_template: Option<Templates>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Templates {
        One(String),
        Named(Vec<Named>),
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
        template: String,
    }
    let config: Config = serde_json::from_slice(json)
        .map_err(|e| ChatTemplateError::Config { reason: format!("chat_template: {e}") })?;
    match config.chat_template {
        None => Ok(None),
        Some(Templates::One(template)) => Ok(Some(template)),
        Some(Templates::Named(list)) => {
            let names: Vec<_> = list.iter().map(|named| named.name.clone()).collect();
            let default = list.into_iter().find(|named| named.name == "default");
            let default = default.ok_or_else(|| ChatTemplateError::Config {
                reason: format!("chat_template has no \"default\" among {names:?}"),
            })?;
            Ok(Some(default.template))
        }
    }
}

/// The environment that `apply_chat_template` of transformers provides.
fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax =
        minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    Ok(environment)
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: String) -> Result<String, Error> {
    let now = jiff::Zoned::now();
    jiff::fmt::strtime::format(&format, &now).map_err(|e| {
        let reason = format!("strftime_now({format:?}): {e}");
        Error::new(ErrorKind::InvalidOperation, reason)
    })
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`: unlike Jinja's own filter it
/// escapes nothing for HTML, and puts a space behind `,` and `:`.
fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        let reason = "tojson(ensure_ascii=true) is not supported";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    options.assert_all_used()?;
    let mut json = String::new();
    write_json(&mut json, value, indent.map(|i| i.min(16)), 0)?;
    Ok(Value::from(json))
}

fn write_json(
    out: &mut String,
    value: &Value,
    indent: Option<usize>,
    depth: usize,
) -> Result<(), Error> {
    if depth > 64 {
        let reason = "tojson: nested more than 64 deep";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    let new_line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let separator = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => {
            let is_map = value.kind() == ValueKind::Map;
            out.push(if is_map { '{' } else { '[' });
            let mut empty = true;
            for item in value.try_iter()? {
                if !empty {
                    out.push_str(separator);
                }
                empty = false;
                new_line(out, depth + 1);
                if is_map {
                    write_scalar(out, &Value::from(item.to_string()))?;
                    out.push_str(": ");
                    write_json(out, &value.get_item(&item)?, indent, depth + 1)?;
                } else {
                    write_json(out, &item, indent, depth + 1)?;
                }
            }
            if !empty {
                new_line(out, depth);
            }
            out.push(if is_map { '}' } else { ']' });
            Ok(())
        }
        _ => write_scalar(out, value),
    }
}

fn write_scalar(out: &mut String, value: &Value) -> Result<(), Error> {
    let json = serde_json::to_string(value).map_err(|e| {
        let reason = format!("tojson: {e}");
        Error::new(ErrorKind::InvalidOperation, reason)
    })?;
    out.push_str(&json);
    Ok(())
}

/// `{% generation %}` … `{% endgeneration %}` mark, for training, what the assistant said; they
/// do not change the text, and the engine does not know them.
fn plain_jinja(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        plain.push_str(before);
        let name_at = tag.find(|c: char| c != '-' && c != '+' && !c.is_whitespace());
        let (space, after) = tag.split_at(name_at.unwrap_or(tag.len()));
        let name_len = after.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (name, after) = after.split_at(name_len.unwrap_or(after.len()));
        plain.push_str(space);
        plain.push_str(match name {
            "generation" => "if true",
            "endgeneration" => "endif",
            name => name,
        });
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tests::{sentencepiece, stories};
    use serde_json::json;

    fn render(source: &str) -> Result<String, ChatTemplateError> {
        let messages = [Message::new("user", "Hi")];
        ChatTemplate::new(source, "<s>", "</s>")?.render(&messages, true)
    }

    #[test]
    fn bundled_model() {
        let tokenizer = stories();
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/stories-27m/tokenizer_config.json");
        let config = std::fs::read(path).unwrap();
        let template = ChatTemplate::from_files(&tokenizer, Some(&config), None);
        let template = template.unwrap().unwrap();
        let question = "Tell me a short story about a brave fox and a lantern.";
        let prompt = template.render(&[Message::new("user", question)], true).unwrap();
        assert_eq!(prompt, format!("<|begin_of_text|>User: {question}<|eot_id|>Assistant: "));
        assert_eq!(template.turn_end(&tokenizer).unwrap(), Some(2));
    }

    #[test]
    fn turn_end_needs_a_special_token() {
        let tokenizer = sentencepiece(&json!({}));
        let turn_end = |after: &str| {
            let source =
                format!("{{% for m in messages %}}{{{{ m.content }}}}{after}{{% endfor %}}");
            let template = ChatTemplate::new(&source, "", "</s>").unwrap();
            template.turn_end(&tokenizer).unwrap()
        };
        assert_eq!(turn_end("{{ eos_token }}"), Some(2));
        assert_eq!(turn_end(" \n</s>\n"), Some(2));
        assert_eq!(turn_end("a</s>"), None);
        assert_eq!(turn_end(""), None);
    }

    #[test]
    fn where_the_template_stands() {
        let tokenizer = stories();
        let from = |config: serde_json::Value, file: Option<&str>| {
            let config = config.to_string();
            ChatTemplate::from_files(&tokenizer, Some(config.as_bytes()), file)
                .map(|t| t.map(|t| t.render(&[], false).unwrap()))
        };
        assert_eq!(from(json!({}), None).unwrap(), None);
        assert_eq!(from(json!({"chat_template": null}), None).unwrap(), None);
        let one = json!({"chat_template": "one"});
        assert_eq!(from(one.clone(), None).unwrap().unwrap(), "one");
        assert_eq!(from(one, Some("file")).unwrap().unwrap(), "file");
        let list = json!({"chat_template": [
            {"name": "tool_use", "template": "tools"}, {"name": "default", "template": "list"}]});
        assert_eq!(from(list, None).unwrap().unwrap(), "list");
        let without = json!({"chat_template": [{"name": "rag", "template": "x"}]});
        let message = from(without, None).unwrap_err().to_string();
        assert!(message.contains("\"rag\""), "{message}");
        let message = from(json!({"chat_template": 3}), None).unwrap_err().to_string();
        assert!(message.starts_with("tokenizer_config.json: chat_template"), "{message}");
    }

    #[test]
    fn errors_say_line_and_reason() {
        let message = |source: &str| render(source).unwrap_err().to_string();
        let unclosed = message("a\n{% for m in messages %}");
        assert!(unclosed.starts_with("chat template: ") && unclosed.contains("line 2"));
        let refused = message("\n\n{{ raise_exception('No system role') }}");
        assert_eq!(refused, "chat template: No system role (line 3)");
        let format = message("{{ strftime_now('%!') }}");
        assert!(format.contains("strftime_now"), "{format}");
    }

    #[test]
    fn endless_templates_end() {
        let loops = "{% for a in range(9999) %}".repeat(3) + &"{% endfor %}".repeat(3);
        assert!(render(&loops).is_err());
        assert!(render("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").is_err());
    }

    #[test]
    fn dates_are_todays() {
        let year = jiff::Zoned::now().year().to_string();
        assert_eq!(render("{{ strftime_now('%Y') }}").unwrap(), year);
        let long = render("{{ strftime_now('%d %b %Y') }}").unwrap();
        assert_eq!(long.split(' ').count(), 3);
    }

    #[test]
    fn generation_tags_are_only_marks() {
        let source = "a{%- generation -%} {{ 1 }} {%endgeneration%}b{% if x %}{% endif %}{%";
        assert_eq!(
            plain_jinja(source),
            "a{%- if true -%} {{ 1 }} {%endif%}b{% if x %}{% endif %}{%"
        );
    }
}
