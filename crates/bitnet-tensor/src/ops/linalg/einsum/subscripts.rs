//! Subscripts: which axis of which operand carries which label.

use std::fmt;

use crate::BitNetTensor;
use crate::error::{Result, bail};

/// The name of an axis. The axes of an ellipsis come before the letters, as in an implicit output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// An axis under `...`, as its negative number among those: −1 is the last.
    Ellipsis(isize),
    Letter(char),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ellipsis(axis) => write!(f, "axis {axis} of '...'"),
            Self::Letter(letter) => write!(f, "'{letter}'"),
        }
    }
}

/// What a specification says of given operands.
#[derive(Debug)]
pub(super) struct Subscripts {
    /// The label of each axis of each operand.
    pub(super) inputs: Vec<Vec<Label>>,
    pub(super) output: Vec<Label>,
    /// Each label once, with its size after broadcasting.
    sizes: Vec<(Label, usize)>,
}

impl Subscripts {
    /// Reads `specification` for these operands.
    pub(super) fn new(specification: &str, operands: &[&BitNetTensor]) -> Result<Self> {
        let text: String = specification.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, output) = match text.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (text.as_str(), None),
        };
        let terms: Vec<&str> = inputs.split(',').collect();
        if terms.len() != operands.len() {
            let (terms, operands_given) = (terms.len(), operands.len());
            bail!(
                ShapeMismatch,
                "einsum",
                operands,
                "\"{specification}\" is for {terms} operands, not for {operands_given}"
            );
        }
        let mut labelled = Vec::with_capacity(terms.len());
        for (number, (term, operand)) in terms.iter().zip(operands).enumerate() {
            match labels(term, Axes::All(operand.rank())) {
                Ok(labels) => labelled.push(labels),
                Err(reason) => bail!(
                    ShapeMismatch,
                    "einsum",
                    operands,
                    "\"{specification}\", operand {number}: {reason}"
                ),
            }
        }
        let mut subscripts = Self { inputs: labelled, output: Vec::new(), sizes: Vec::new() };
        let read = subscripts.measure(operands).and_then(|()| subscripts.set_output(output));
        match read {
            Ok(()) => Ok(subscripts),
            Err(reason) => {
                bail!(ShapeMismatch, "einsum", operands, "\"{specification}\": {reason}")
            }
        }
    }

    /// The size of the axes that carry this label.
    pub(super) fn size(&self, label: Label) -> usize {
        self.sizes.iter().find(|(other, _)| *other == label).map_or(1, |(_, size)| *size)
    }

    /// Collects the sizes; axes of 1 broadcast.
    fn measure(&mut self, operands: &[&BitNetTensor]) -> Result<(), String> {
        for (number, (labels, operand)) in self.inputs.iter().zip(operands).enumerate() {
            for (axis, (&label, &size)) in labels.iter().zip(operand.shape().iter()).enumerate() {
                if let Some(first) = labels[..axis].iter().position(|other| *other == label)
                    && operand.shape()[first] != size
                {
                    let other = operand.shape()[first];
                    return Err(format!(
                        "{label} has sizes {other} and {size} in operand {number}"
                    ));
                }
                match self.sizes.iter_mut().find(|(other, _)| *other == label) {
                    None => self.sizes.push((label, size)),
                    Some((_, known)) if *known == 1 => *known = size,
                    Some((_, known)) if size == 1 || *known == size => {}
                    Some((_, known)) => {
                        return Err(format!(
                            "{label} has size {size} in operand {number} and {known} before"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn set_output(&mut self, output: Option<&str>) -> Result<(), String> {
        let mut ellipsis: Vec<Label> = Vec::new();
        for (label, _) in &self.sizes {
            if matches!(label, Label::Ellipsis(_)) {
                ellipsis.push(*label);
            }
        }
        ellipsis.sort();
        let Some(output) = output else {
            // The letters that occur once, in alphabetical order.
            let all = || self.inputs.iter().flatten();
            let mut letters: Vec<Label> = self.sizes.iter().map(|(label, _)| *label).collect();
            letters.retain(|letter| {
                matches!(letter, Label::Letter(_)) && all().filter(|x| *x == letter).count() == 1
            });
            letters.sort();
            self.output = [ellipsis, letters].concat();
            return Ok(());
        };
        let found = labels(output, Axes::Ellipsis(ellipsis.len()));
        self.output = found.map_err(|reason| format!("output: {reason}"))?;
        for (place, label) in self.output.iter().enumerate() {
            if self.output[..place].contains(label) {
                return Err(format!("output: {label} is named twice"));
            }
            if !self.sizes.iter().any(|(known, _)| known == label) {
                return Err(format!("output: {label} is in no operand"));
            }
        }
        if !ellipsis.is_empty() && !output.contains("...") {
            return Err("output: '...' is missing".into());
        }
        Ok(())
    }
}

/// How many axes a term describes.
enum Axes {
    /// As many in all.
    All(usize),
    /// As many under the ellipsis.
    Ellipsis(usize),
}

/// The labels of a term, without white space.
fn labels(term: &str, axes: Axes) -> Result<Vec<Label>, String> {
    let (before, after) = match term.split_once("...") {
        Some((before, after)) => (before, Some(after)),
        None => (term, None),
    };
    let letters = |text: &str| -> Result<Vec<Label>, String> {
        let letter = |c: char| match c {
            'a'..='z' | 'A'..='Z' => Ok(Label::Letter(c)),
            '.' if after.is_some() => Err("'...' may be there once".into()),
            _ => Err(format!("'{c}' is not a letter")),
        };
        text.chars().map(letter).collect()
    };
    let (mut found, last) = (letters(before)?, letters(after.unwrap_or(""))?);
    let named = found.len() + last.len();
    let hidden = match (axes, after) {
        (Axes::Ellipsis(hidden), Some(_)) => hidden,
        (Axes::Ellipsis(_), None) => 0,
        (Axes::All(rank), Some(_)) if named <= rank => rank - named,
        (Axes::All(rank), None) if named == rank => 0,
        (Axes::All(rank), _) => {
            return Err(format!("{named} subscripts name {rank} axes"));
        }
    };
    found.extend((1..=hidden as isize).rev().map(|axis| Label::Ellipsis(-axis)));
    found.extend(last);
    Ok(found)
}
