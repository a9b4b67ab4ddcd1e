//! Neighbouring dispatches of a decoding step that become one.
//!
//! A token's operations are small: what they cost is the way from one to the next. Everything between
//! two products of a layer concerns one row, which each workgroup of the second product can work out
//! for itself. So of
//!
//! ```text
//! gate → norm and quantization → product → addition to the residual
//! ```
//!
//! the last three, or all, are one dispatch when there is one token; and so are
//!
//! ```text
//! norm and quantization → product → rotation of queries and keys → keys → values into the cache
//! ```
//!
//! of which the last three are one wherever they stand. Every result is still written, since somebody may
//! look at it.

use bitnet_tensor::BitNetDType;
use smallvec::{SmallVec, smallvec};

use super::{FUNCTIONS, WORKGROUP, elementwise, linalg, movement, neural, quantization};
use crate::gpu::{Access::*, Dispatch, Fusion, Template};

pub(crate) const FUSION: Fusion =
    Fusion { workgroup: ROW_WORKGROUP, buffers: 15, continues, combine };

/// The chain's links, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Gate,
    Quantize,
    Product,
    Add,
    Rotate,
    WriteRows,
}

fn link(dispatch: &Dispatch) -> Option<Link> {
    let is = |template: &'static Template| std::ptr::eq(dispatch.template, template);
    if is(&elementwise::GATE) {
        Some(Link::Gate)
    } else if is(&quantization::ACTIVATION) {
        Some(Link::Quantize)
    } else if is(&linalg::PACKED_ROWS) {
        Some(Link::Product)
    } else if is(&elementwise::BINARY_IN_PLACE) {
        Some(Link::Add)
    } else if is(&neural::ROPE) {
        Some(Link::Rotate)
    } else if is(&movement::WRITE_ROWS) {
        Some(Link::WriteRows)
    } else {
        None
    }
}

fn id(dispatch: &Dispatch, operand: usize) -> u64 {
    dispatch.buffers[operand].id
}

/// Whether an elementwise kernel of `operands` operands reads each of them from one end to the other:
/// one axis, whose steps are one.
fn is_one_line(dispatch: &Dispatch, operands: usize) -> bool {
    let steps = (0..operands).map(|n| dispatch.params[2 + operands + 8 + 8 * n]);
    dispatch.constants[1] == 1 && steps.into_iter().all(|step| step == 1)
}

fn continues(held: &[Dispatch], next: &Dispatch) -> bool {
    let Some(link) = link(next) else { return false };
    let Some(last) = held.last() else { return begins(next, link) };
    // A buffer is either read or written by a dispatch.
    let is_used = |id: u64| held.iter().flat_map(|d| &d.buffers).any(|block| block.id == id);
    let operands = next.template.operands.iter().zip(&next.buffers);
    if operands.into_iter().any(|((_, access), block)| *access == Write && is_used(block.id)) {
        return false;
    }
    match (self::link(last), link) {
        (Some(Link::Gate), Link::Quantize) => {
            // One row, with a norm, of the gate's result.
            begins(next, link)
                && id(last, 2) == id(next, 0)
                && (last.params[1], 0) == (next.params[2], next.params[4])
        }
        (Some(Link::Quantize), Link::Product) => {
            // One token, of the codes just made: codes, scales and sums.
            next.params[1] == 1 && (0..3).all(|n| id(last, 2 + n) == id(next, n))
        }
        (Some(Link::Product), Link::Add) => {
            // Of the product, all of it, into another tensor of floats.
            held.len() > 1
                && next.constants[0] == elementwise::ADD_FLOATS
                && next.types.iter().all(|&dtype| dtype == BitNetDType::F32)
                && is_one_line(next, 1)
                && (next.params[2], next.params[1]) == (0, last.params[2])
                && id(next, 0) == id(last, 5)
        }
        // Of the product's rows.
        (Some(Link::Product), Link::Rotate) => id(next, 0) == id(last, 5),
        (Some(Link::Rotate), Link::WriteRows) => {
            // Rows that were just rotated, by the same positions.
            id(next, 1) == id(last, 4) && id(next, 0) == id(last, 3)
        }
        (Some(Link::WriteRows), Link::WriteRows) => {
            // The values beside the keys: the same positions and shape, from where the rotation read.
            let before = held.len().checked_sub(2).map(|place| &held[place]);
            let rotate = before.filter(|before| self::link(before) == Some(Link::Rotate));
            rotate.is_some_and(|rotate| id(next, 1) == id(rotate, 0))
                && id(next, 0) == id(last, 0)
                && next.params[1..=5] == last.params[1..=5]
                && next.params[16..19] == last.params[16..19]
        }
        _ => false,
    }
}

/// Whether a chain can begin with this.
fn begins(dispatch: &Dispatch, link: Link) -> bool {
    match link {
        // Of two parts of one tensor.
        Link::Gate => {
            id(dispatch, 0) == id(dispatch, 1)
                && is_one_line(dispatch, 2)
                && dispatch.params[2..4].iter().all(|start| start.is_multiple_of(4))
        }
        // One row after its norm, in vectors of four, and not so long that its codes do not fit the
        // shared memory.
        Link::Quantize => {
            let fours = [dispatch.params[2], dispatch.params[4], dispatch.params[5]];
            dispatch.constants[0] == 1
                && dispatch.params[1] == 1
                && dispatch.params[3] <= MOST_FEATURES
                && fours.iter().all(|n| n.is_multiple_of(4))
        }
        Link::Rotate => true,
        Link::Product | Link::Add | Link::WriteRows => false,
    }
}

fn combine(held: &[Dispatch]) -> Option<(usize, Dispatch)> {
    let links: SmallVec<[Link; 5]> = held.iter().filter_map(link).collect();
    match links[..] {
        [Link::Gate, Link::Quantize, Link::Product, Link::Add, ..] => {
            Some((4, product(Some(&held[0]), &held[1], &held[2], Some(&held[3]))))
        }
        [Link::Gate, Link::Quantize, Link::Product, ..] => {
            Some((3, product(Some(&held[0]), &held[1], &held[2], None)))
        }
        [Link::Quantize, Link::Product, Link::Add, ..] => {
            Some((3, product(None, &held[0], &held[1], Some(&held[2]))))
        }
        [Link::Quantize, Link::Product, Link::Rotate, Link::WriteRows, Link::WriteRows, ..]
            if is_of_heads(held) =>
        {
            Some((5, rotated_product(held)))
        }
        [Link::Quantize, Link::Product, ..] => Some((2, product(None, &held[0], &held[1], None))),
        [Link::Rotate, Link::WriteRows, Link::WriteRows, ..] => {
            Some((3, rotation(&held[0], &held[1], &held[2])))
        }
        _ => None,
    }
}

/// Features of a row whose codes a workgroup keeps, beside what its threads add up.
const MOST_FEATURES: u32 = 12_288;

/// Threads of a workgroup that works out a row.
const ROW_WORKGROUP: u32 = 512;
/// Vectors of weights that a thread asks for before it needs them: what its registers hold.
const MOST_AHEAD: u32 = 16;
const PRODUCT: Template = Template {
    body: include_str!("../shaders/linalg/row_product.wgsl"),
    includes: &[FUNCTIONS, quantization::CODES],
    constants: &[
        "GATE",
        "ADD",
        "HALVES",
        "TWO_BITS",
        "LANES",
        "ROWS",
        "ITEMS",
        "STEPS",
        "DEPTH",
        "CODE_VECTORS",
    ],
    define: Some(product_functions),
    reduces: true,
    workgroup: ROW_WORKGROUP,
    ..Template::PLAIN
};

/// The product's operands and what else a template binds.
macro_rules! operands {
    ($($operand:literal: $access:ident),*) => {
        &[
            ("x", ReadVectors),
            ("norm", ReadVectors),
            ("codes", Write),
            ("scales", Write),
            ("sums", Write),
            ("weight", ReadVectors),
            ("weight_scales", Read),
            ("out", Write),
            $(($operand, $access)),*
        ]
    };
}
static NORM_PRODUCT: Template =
    Template { name: "norm and product", operands: operands!(), ..PRODUCT };
static NORM_PRODUCT_ADD: Template = Template {
    name: "norm, product and addition",
    operands: operands!("residual": Write),
    ..PRODUCT
};
static GATE_PRODUCT: Template =
    Template { name: "gate, norm and product", operands: operands!("gated": Write), ..PRODUCT };
static GATE_PRODUCT_ADD: Template = Template {
    name: "gate, norm, product and addition",
    operands: operands!("gated": Write, "residual": Write),
    ..PRODUCT
};
static ROTATED_PRODUCT: Template = Template {
    name: "norm, product and rotation",
    operands: operands!(
        "cos": Read, "sin": Read, "positions": Read, "rotated": Write, "keys": Write, "values": Write
    ),
    includes: &[
        FUNCTIONS,
        quantization::CODES,
        include_str!("../shaders/neural/rotated_product.wgsl"),
    ],
    define: Some(row_functions),
    checks: true,
    ..PRODUCT
};

/// What the row is, and what its products are used for but for being written.
fn product_functions(constants: &[u32]) -> String {
    let add = match constants[1] {
        0 => "",
        _ => "if (is_mine) { residual[row] = bitcast<u32>(load_residual(row) + v); }",
    };
    row_functions(constants)
        + &format!(
            "fn weight_row(n: u32) -> u32 {{ return n; }}\n\
             fn use_result(row: u32, v: f32, slot: u32, is_mine: bool) {{ {add} }}\n"
        )
}

/// What the row is.
fn row_functions(constants: &[u32]) -> String {
    let four = |start: u32| format!("bitcast<vec4<f32>>(x[param({start}u) + i])");
    let activation = match constants[0] {
        0 => None,
        1 => Some("relu_squared_of"),
        _ => Some("silu_of"),
    };
    let (row, keep) = match activation {
        None => (four(2), String::new()),
        Some(function) => {
            let part = |n: &str| format!("{function}(g.{n})");
            let parts = ["x", "y", "z", "w"].map(part).join(", ");
            let store =
                |(n, part): (u32, &str)| format!("gated[4u * i + {n}u] = bitcast<u32>(v.{part});");
            let stores = [(0, "x"), (1, "y"), (2, "z"), (3, "w")].map(store).join(" ");
            (format!("vec4<f32>({parts}) * {}", four(9)), stores)
        }
    };
    let gate = if activation.is_some() { format!("let g = {};", four(8)) } else { String::new() };
    format!(
        "fn input(i: u32) -> vec4<f32> {{ {gate} return {row}; }}\n\
         fn keep_input(i: u32, v: vec4<f32>) {{ {keep} }}\n"
    )
}

/// With the parameters that `row_product.wgsl` lists.
fn product(
    gate: Option<&Dispatch>,
    quantize: &Dispatch,
    product: &Dispatch,
    add: Option<&Dispatch>,
) -> Dispatch {
    let template = match (gate, add) {
        (None, None) => &NORM_PRODUCT,
        (None, Some(_)) => &NORM_PRODUCT_ADD,
        (Some(_), None) => &GATE_PRODUCT,
        (Some(_), Some(_)) => &GATE_PRODUCT_ADD,
    };
    let input = gate.unwrap_or(quantize);
    let mut buffers: SmallVec<[_; 8]> = smallvec![input.buffers[0].clone()];
    let mut types: SmallVec<[_; 6]> = smallvec![input.types[0]];
    for n in 1..5 {
        buffers.push(quantize.buffers[n].clone());
        types.push(quantize.types[n]);
    }
    for n in 3..6 {
        buffers.push(product.buffers[n].clone());
        types.push(product.types[n]);
    }
    if let Some(gate) = gate {
        buffers.push(gate.buffers[2].clone());
        types.push(gate.types[2]);
    }
    if let Some(add) = add {
        buffers.push(add.buffers[1].clone());
        types.push(add.types[1]);
    }
    let [features, padded] = [quantize.params[2], quantize.params[3]];
    let [start, norm_start, eps] = [quantize.params[4], quantize.params[5], quantize.params[6]];
    let starts = gate.map_or([0, 0], |gate| [gate.params[2], gate.params[3]]);
    let gate_code = gate.map_or(0, |gate| gate.constants[0] + 1);
    let [two_bits, lanes, of_a_thread] =
        [product.constants[0], product.constants[2], product.constants[3]];
    let [rows, row_vectors] = [product.params[2], product.params[3]];
    let steps = row_vectors.div_ceil(lanes);
    let depth = (MOST_AHEAD / of_a_thread).min(steps);
    // Four words of codes in each; a vector of two-bit weights has four of these.
    let code_vectors = (padded / 16).max(row_vectors * if two_bits == 1 { 4 } else { 1 });
    let items = (4 * code_vectors).div_ceil(ROW_WORKGROUP);
    let groups = rows.div_ceil(of_a_thread);
    Dispatch {
        operation: product.operation,
        template,
        types,
        constants: smallvec![
            gate_code,
            u32::from(add.is_some()),
            0, // the halves of a rotation, which others have not
            two_bits,
            lanes,
            of_a_thread,
            items,
            steps,
            depth,
            code_vectors
        ],
        buffers,
        params: smallvec![
            0,
            features / 4,
            start / 4,
            norm_start / 4,
            eps,
            padded / 4,
            rows,
            row_vectors,
            starts[0] / 4,
            starts[1] / 4
        ],
        workgroups: crate::operand::grid(groups, ROW_WORKGROUP / lanes),
    }
}

/// Whether a product of one token, a rotation and two writings are of the product's rows, one head after
/// the other.
fn is_of_heads(held: &[Dispatch]) -> bool {
    let [quantize, product, rotate, keys, values, ..] = held else { return false };
    let (rows, width) = (product.params[2], rotate.params[4]);
    // Results of a workgroup lie beside the codes.
    let results = 4 * ROW_WORKGROUP / product.constants[2];
    let is_written = |write: &Dispatch| {
        write.params[1] == write.params[4] * width
            && write.params[5] == width
            && write.params[11].is_multiple_of(width)
            && write.params[14..16] == [width, 1]
            && write.params[16] == rotate.params[10]
    };
    quantize.params[3] + results <= MOST_FEATURES
        && width.is_multiple_of(2)
        && rows.is_multiple_of(width)
        && rotate.params[1] == rotate.params[3] * width
        && rotate.params[1] <= rows
        && rotate.params[5] == 0
        && rotate.params[8..10] == [width, 1]
        && is_written(keys)
        && is_written(values)
}

/// With the parameters that `rotated_product.wgsl` lists after those of the product.
fn rotated_product(held: &[Dispatch]) -> Dispatch {
    let [quantize, product, rotate, keys, values] = [0, 1, 2, 3, 4].map(|place| &held[place]);
    // Pairs of rows are neighbours.
    let mut alone = product.clone();
    alone.constants[3] = 1;
    let mut fused = self::product(None, quantize, &alone, None);
    fused.template = &ROTATED_PRODUCT;
    fused.constants[2] = rotate.constants[0];
    for n in 1..5 {
        fused.buffers.push(rotate.buffers[n].clone());
        fused.types.push(rotate.types[n]);
    }
    for write in [keys, values] {
        fused.buffers.push(write.buffers[2].clone());
        fused.types.push(write.types[2]);
    }
    fused.params[0] = rotate.params[0];
    fused.params.extend([rotate.params[4], rotate.params[1], rotate.params[10]]);
    fused.params.extend_from_slice(&rotate.params[13..16]);
    for write in [keys, values] {
        let [total, capacity, start] = [write.params[1], write.params[2], write.params[6]];
        fused.params.extend([write.params[11], total, capacity, start]);
        fused.params.extend_from_slice(&write.params[8..11]);
    }
    fused
}

static ROTATE_AND_WRITE: Template = Template {
    name: "rope",
    body: include_str!("../shaders/neural/rope_and_write.wgsl"),
    includes: &[include_str!("../shaders/neural/rope.wgsl"), movement::ROW_PLACES],
    operands: &[
        ("x", Read),
        ("cos", Read),
        ("sin", Read),
        ("positions", Read),
        ("out", Write),
        ("keys", Write),
        ("values", Write),
    ],
    constants: &["HALVES"],
    checks: true,
    ..Template::PLAIN
};

/// Parameters of the rotation (16), then those of the writing of keys and of values from their first
/// on, without their codes (18 each).
fn rotation(rotate: &Dispatch, keys: &Dispatch, values: &Dispatch) -> Dispatch {
    let mut buffers = rotate.buffers.clone();
    buffers.extend([keys.buffers[2].clone(), values.buffers[2].clone()]);
    let mut types = rotate.types.clone();
    types.extend([keys.types[2], values.types[2]]);
    let mut params = rotate.params.clone();
    params.extend_from_slice(&keys.params[1..]);
    params.extend_from_slice(&values.params[1..]);
    let threads = rotate.params[1] + 2 * keys.params[1];
    Dispatch {
        operation: rotate.operation,
        template: &ROTATE_AND_WRITE,
        types,
        constants: rotate.constants.clone(),
        buffers,
        params,
        workgroups: crate::operand::grid(threads, WORKGROUP),
    }
}
