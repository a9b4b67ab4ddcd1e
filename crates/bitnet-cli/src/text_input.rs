//! Text from an argument, a file or standard input; anything but UTF-8 is refused.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The prompt: the argument, or standard input where it is `-` or absent. One newline at the end
/// of standard input is how a pipe ends, not part of the text.
pub(crate) fn prompt(argument: Option<&OsStr>) -> Result<String> {
    match argument {
        Some(text) if text != "-" => {
            let text = text.to_str().context("the prompt is not UTF-8 text")?;
            Ok(text.to_owned())
        }
        None if io::stdin().is_terminal() => {
            bail!("there is no prompt: give it as an argument, or pipe text in")
        }
        _ => {
            let mut text = standard_input()?;
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            Ok(text)
        }
    }
}

/// The text of a file, or of standard input where the path is `-`.
pub(crate) fn file(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        return standard_input();
    }
    let name = || path.display().to_string();
    utf8(fs::read(path).with_context(name)?).with_context(name)
}

fn standard_input() -> Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
    utf8(bytes).context("standard input")
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        anyhow::anyhow!("is not UTF-8 text (at byte {position})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_byte_is_located() {
        let error = utf8(vec![b'a', b'b', 0xff]).unwrap_err();
        assert_eq!(error.to_string(), "is not UTF-8 text (at byte 2)");
    }
}
