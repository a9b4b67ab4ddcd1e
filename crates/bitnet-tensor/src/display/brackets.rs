//! Which elements of a shape are shown, and the brackets around them.

use super::PrintOptions;
use super::number::Aligned;
use crate::Layout;

/// The part of a shape that is shown: on each axis all indices, or those at its edges.
pub(super) struct Excerpt {
    axes: Vec<Axis>,
}

struct Axis {
    /// The indices that are shown, in order.
    indices: Vec<usize>,
    /// Where among them something is left out.
    gap: Option<usize>,
}

/// What stands between two commas.
#[derive(Clone, Copy)]
enum Part {
    Index,
    Gap,
}

impl Axis {
    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::Index; self.indices.len()];
        if let Some(gap) = self.gap {
            parts.insert(gap, Part::Gap);
        }
        parts
    }
}

impl Excerpt {
    /// `shape` has elements, so each of its axes can be listed.
    pub(super) fn new(shape: &[usize], options: &PrintOptions) -> Self {
        let edge = options.edge_items;
        let count = shape.iter().fold(1_usize, |count, &size| count.saturating_mul(size));
        let summarize = count > options.threshold;
        let axis = |&size: &usize| {
            if summarize && size > edge.saturating_mul(2) {
                Axis { indices: (0..edge).chain(size - edge..size).collect(), gap: Some(edge) }
            } else {
                Axis { indices: (0..size).collect(), gap: None }
            }
        };
        Self { axes: shape.iter().map(axis).collect() }
    }

    /// Where the shown elements lie in storage, in row-major order.
    pub(super) fn places(&self, layout: &Layout) -> Vec<usize> {
        let mut places = vec![layout.offset() as isize];
        for (axis, &stride) in self.axes.iter().zip(layout.strides()) {
            places = places
                .iter()
                .flat_map(|place| axis.indices.iter().map(move |&i| place + i as isize * stride))
                .collect();
        }
        places.into_iter().map(|place| place as usize).collect()
    }
}

/// The texts in nested brackets, behind `indent` characters; lines of the last axis end before
/// `line_width`.
pub(super) fn brackets(
    excerpt: &Excerpt,
    cells: &Aligned,
    indent: usize,
    line_width: usize,
) -> String {
    let mut printer = Printer { cells, next: 0, line_width, text: String::new() };
    printer.print(&excerpt.axes, indent);
    printer.text
}

struct Printer<'a> {
    cells: &'a Aligned,
    /// How many cells are printed.
    next: usize,
    line_width: usize,
    text: String,
}

impl Printer<'_> {
    fn print(&mut self, axes: &[Axis], indent: usize) {
        let Some((axis, inner)) = axes.split_first() else {
            return self.cell();
        };
        // Rows are apart by a new line, matrices by an empty line, cubes by two.
        let lines = |count| format!(",{}{}", "\n".repeat(count), " ".repeat(indent + 1));
        let (separator, new_line) = (lines(inner.len()), lines(1));
        let per_line = (self.line_width.saturating_sub(indent) / (self.cells.width + 2)).max(1);
        self.text.push('[');
        for (count, part) in axis.parts().into_iter().enumerate() {
            if count > 0 {
                self.text.push_str(match inner {
                    [] if count.is_multiple_of(per_line) => &new_line,
                    [] => ", ",
                    _ => &separator,
                });
            }
            match part {
                Part::Index => self.print(inner, indent + 1),
                // A space more before it, as PyTorch has, where elements stand beside it.
                Part::Gap if inner.is_empty() && !axis.indices.is_empty() => {
                    self.text.push_str(" ...");
                }
                Part::Gap => self.text.push_str("..."),
            }
        }
        self.text.push(']');
    }

    fn cell(&mut self) {
        let text = self.cells.texts.get(self.next).map_or("", String::as_str);
        self.text.push_str(text);
        self.next += 1;
    }
}
