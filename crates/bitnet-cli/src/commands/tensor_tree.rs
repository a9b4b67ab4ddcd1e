//! Tensors by their names as a tree: `model.layers.0` once, and under it what it has.

use std::fmt::Write as _;

use crate::output;

/// A part of the names, and what is under it.
#[derive(Default)]
pub(super) struct Tree {
    tensors: usize,
    bytes: u64,
    /// What is said of the tensor of this name.
    line: Option<String>,
    parts: Vec<(String, Tree)>,
}

impl Tree {
    /// Adds a tensor.
    pub(super) fn add(&mut self, name: &str, bytes: u64, line: String) {
        self.tensors += 1;
        self.bytes += bytes;
        let (first, rest) = match name.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name, None),
        };
        let index = match self.parts.iter().position(|(part, _)| part == first) {
            Some(index) => index,
            None => {
                self.parts.push((first.to_owned(), Self::default()));
                self.parts.len() - 1
            }
        };
        let part = &mut self.parts[index].1;
        match rest {
            Some(rest) => part.add(rest, bytes, line),
            None => {
                part.tensors += 1;
                part.bytes += bytes;
                part.line = Some(line);
            }
        }
    }

    /// A line for each part; a part with one part below is one with it.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        self.lines(0, &mut lines);
        let width = |(depth, name, _): &(usize, String, String)| 2 * depth + name.chars().count();
        let widest = lines.iter().map(width).max().unwrap_or(0);
        let mut text = String::new();
        for line in &lines {
            let (depth, name, rest) = line;
            let space = widest - width(line);
            let indent = 2 * depth;
            let _ = writeln!(text, "{:indent$}{name}{:space$}  {rest}", "", "");
        }
        text
    }

    fn lines(&self, depth: usize, lines: &mut Vec<(usize, String, String)>) {
        for (name, part) in &self.parts {
            let (mut name, mut part) = (name.clone(), part);
            while let (None, [(next, below)]) = (&part.line, part.parts.as_slice()) {
                name = format!("{name}.{next}");
                part = below;
            }
            let name = output::one_line(&name);
            match &part.line {
                Some(line) => lines.push((depth, name, line.clone())),
                None => {
                    let size = format!("{} tensors, {}", part.tensors, output::bytes(part.bytes));
                    lines.push((depth, name, size));
                }
            }
            part.lines(depth + 1, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_parts_are_said_once() {
        let mut tree = Tree::default();
        for (name, bytes) in [("a.b.x.weight", 1), ("a.b.y.weight", 2), ("a.c.weight", 4), ("d", 8)]
        {
            tree.add(name, bytes, format!("{bytes}!"));
        }
        assert_eq!(
            tree.text(),
            "a             3 tensors, 7 B\n  b           2 tensors, 3 B\n    x.weight  1!\n    y.weight  2!\n  c.weight    4!\nd             8!\n"
        );
    }
}
