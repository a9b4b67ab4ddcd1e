//! Stop strings: text at which generation ends. They may begin in one streamed piece and end in a
//! later one, so whatever could still become a stop string is held back.

/// Watches streamed text for stop strings.
///
/// The stop string that is *completed* first wins, the longer of two that are completed by the
/// same character: what is emitted does not depend on how the text was cut into pieces.
///
/// ```
/// use bitnet_llm::stop::StopMatcher;
///
/// let mut stop = StopMatcher::new(["\nUser:"])?;
/// assert_eq!(stop.push("Hello.\nUs").text, "Hello.");
/// let end = stop.push("er: and so on");
/// assert_eq!(end.text, "");
/// assert_eq!(end.stopped_by, Some(0));
/// # Ok::<(), bitnet_llm::stop::EmptyStopString>(())
/// ```
#[derive(Clone, Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    /// The end of the text so far that is the beginning of a stop string.
    held: String,
    stopped_by: Option<usize>,
}

/// What a piece of text led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emitted {
    /// Text that belongs to no stop string; may be empty.
    pub text: String,
    /// The index of the stop string that ended the text.
    pub stopped_by: Option<usize>,
}

/// An empty stop string would match before any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stop string {index} is empty")]
pub struct EmptyStopString {
    /// Which of the stop strings, from 0.
    pub index: usize,
}

impl StopMatcher {
    /// Watches for any of these strings; for none, all text passes at once.
    ///
    /// # Errors
    /// One of them is empty.
    pub fn new<S: Into<String>>(
        stops: impl IntoIterator<Item = S>,
    ) -> Result<Self, EmptyStopString> {
        let stops: Vec<String> = stops.into_iter().map(Into::into).collect();
        match stops.iter().position(String::is_empty) {
            Some(index) => Err(EmptyStopString { index }),
            None => Ok(Self { stops, held: String::new(), stopped_by: None }),
        }
    }

    /// Takes the next piece of text; returns what is certain to precede any stop string. After a
    /// match nothing more is emitted.
    pub fn push(&mut self, piece: &str) -> Emitted {
        if self.stopped_by.is_some() {
            return Emitted { text: String::new(), stopped_by: self.stopped_by };
        }
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        if let Some((index, start)) = self.first_completed(&text) {
            self.stopped_by = Some(index);
            text.truncate(start);
        } else {
            self.held = text.split_off(text.len() - self.longest_beginning_at_end(&text));
        }
        Emitted { text, stopped_by: self.stopped_by }
    }

    /// The text that was held back and turned out to be no stop string, at the end of the stream.
    #[must_use]
    pub fn finish(self) -> String {
        self.held
    }

    /// The stop string whose occurrence ends first, and where it starts.
    fn first_completed(&self, text: &str) -> Option<(usize, usize)> {
        let found = self.stops.iter().enumerate().filter_map(|(index, stop)| {
            let start = text.find(stop.as_str())?;
            Some((start + stop.len(), start, index))
        });
        found.min().map(|(_, start, index)| (index, start))
    }

    /// Bytes at the end of `text` that a stop string begins with.
    fn longest_beginning_at_end(&self, text: &str) -> usize {
        let beginnings = self.stops.iter().filter_map(|stop| {
            (1..stop.len())
                .rev()
                .filter(|&length| stop.is_char_boundary(length))
                .find(|&length| text.ends_with(&stop[..length]))
        });
        beginnings.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a reader with the whole text would say: extend it character by character.
    fn oracle(text: &str, stops: &[String]) -> (String, Option<usize>) {
        for (at, c) in text.char_indices() {
            let so_far = &text[..at + c.len_utf8()];
            let complete = (0..stops.len()).filter(|&i| so_far.ends_with(&stops[i]));
            // The longest; of equal ones the first.
            if let Some(i) = complete.max_by_key(|&i| (stops[i].len(), usize::MAX - i)) {
                return (so_far[..so_far.len() - stops[i].len()].to_owned(), Some(i));
            }
        }
        (text.to_owned(), None)
    }

    fn streamed(pieces: &[String], stops: &[String]) -> (String, Option<usize>) {
        let mut matcher = StopMatcher::new(stops.iter().cloned()).unwrap();
        let mut text = String::new();
        let mut stopped_by = None;
        for piece in pieces {
            let emitted = matcher.push(piece);
            text.push_str(&emitted.text);
            stopped_by = emitted.stopped_by;
        }
        text.push_str(&matcher.finish());
        (text, stopped_by)
    }

    proptest! {
        #[test]
        fn any_cut_of_the_text_gives_the_same(
            pieces in prop::collection::vec("[abé]{0,5}", 0..8),
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
        ) {
            let whole = oracle(&pieces.concat(), &stops);
            prop_assert_eq!(streamed(&pieces, &stops), whole);
        }
    }

    #[test]
    fn text_passes_as_soon_as_it_is_certain() {
        let mut stop = StopMatcher::new(["</s>", "\n\n"]).unwrap();
        assert_eq!(stop.push("one\n").text, "one");
        assert_eq!(stop.push("two <").text, "\ntwo ");
        assert_eq!(stop.push("/x").text, "</x");
        let end = stop.push("end\n\nmore");
        assert_eq!((end.text.as_str(), end.stopped_by), ("end", Some(1)));
        let after = stop.push("more");
        assert_eq!((after.text.as_str(), after.stopped_by), ("", Some(1)));
        assert_eq!(stop.finish(), "");
    }

    #[test]
    fn what_was_held_comes_at_the_end() {
        let mut stop = StopMatcher::new(["stop"]).unwrap();
        assert_eq!(stop.push("almost sto").text, "almost ");
        assert_eq!(stop.finish(), "sto");
    }

    #[test]
    fn empty_stop_strings_are_refused() {
        let error = StopMatcher::new(["a", ""]).unwrap_err();
        assert_eq!(error.to_string(), "stop string 1 is empty");
        let mut none = StopMatcher::new(Vec::<String>::new()).unwrap();
        assert_eq!(none.push("all").text, "all");
    }
}
