//! Kernels: a template in WGSL, completed for element types and constants, compiled once.
//!
//! A buffer is an array of 32-bit words to a kernel. For each operand the completed source has
//! `load_NAME(i)`, which gives element `i` as `f32`, `i32` or `u32`, and for an output `encode_NAME`,
//! the bits of an element in its word. So one template serves every type of element.

use std::fmt::Write;

use bitnet_tensor::BitNetDType;
use smallvec::SmallVec;

/// How many numbers a dispatch can pass to its kernel.
pub(crate) const PARAMS: usize = 64;

/// What a kernel does with an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Read,
    /// Four words at a time.
    ReadVectors,
    /// Floats one by one or four at a time, `four_NAME(i)` those from element `i` on.
    ReadFours,
    /// `F16` four at a time, as they are.
    ReadHalves,
    Write,
    /// Single elements: threads that write to the same word do not disturb each other.
    WriteElements,
}

impl Access {
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Write | Self::WriteElements)
    }
}

/// A kernel before its types and constants are chosen.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) name: &'static str,
    pub(crate) body: &'static str,
    /// Shared functions that go before it.
    pub(crate) includes: &'static [&'static str],
    pub(crate) operands: &'static [(&'static str, Access)],
    pub(crate) constants: &'static [&'static str],
    /// Text that depends on the constants.
    pub(crate) define: Option<fn(&[u32]) -> String>,
    /// Whether it can find a value that it cannot take, and then reports it.
    pub(crate) checks: bool,
    /// Whether the threads of a workgroup find something out together.
    pub(crate) reduces: bool,
    /// Whether it multiplies by matrix units.
    pub(crate) cooperative: bool,
    /// Threads of a workgroup.
    pub(crate) workgroup: u32,
}

/// A template with its types and constants: what is compiled once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    /// The template's address: several have one name.
    template: usize,
    pub(crate) types: SmallVec<[BitNetDType; 6]>,
    pub(crate) constants: SmallVec<[u32; 6]>,
}

impl Template {
    /// What most kernels are; a template says what it is beside it.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        body: "",
        includes: &[],
        operands: &[],
        constants: &[],
        define: None,
        checks: false,
        reduces: false,
        cooperative: false,
        workgroup: 256,
    };

    pub(crate) fn variant(&'static self, types: &[BitNetDType], constants: &[u32]) -> Variant {
        debug_assert_eq!(types.len(), self.operands.len(), "{}", self.name);
        debug_assert_eq!(constants.len(), self.constants.len(), "{}", self.name);
        Variant {
            template: std::ptr::from_ref(self).addr(),
            types: types.into(),
            constants: constants.into(),
        }
    }

    /// The whole source of a variant.
    pub(crate) fn source(&self, variant: &Variant, subgroups: bool) -> String {
        let mut source = String::new();
        if self.cooperative {
            source.push_str("enable f16;\nenable wgpu_cooperative_matrix;\n");
        }
        source.push_str(
            "@group(0) @binding(0) var<uniform> params: array<vec4<u32>, 16>;\n\
             fn param(i: u32) -> u32 { return params[i / 4u][i % 4u]; }\n",
        );
        let mut line = |text: std::fmt::Arguments<'_>| {
            source.write_fmt(text).expect("a string takes any text");
            source.push('\n');
        };
        line(format_args!("const WORKGROUP = {}u;", self.workgroup));
        for (name, value) in self.constants.iter().zip(&variant.constants) {
            line(format_args!("const {name} = {value}u;"));
        }
        let mut binding = 1;
        if self.checks {
            line(format_args!(
                "@group(0) @binding(1) var<storage, read_write> status: array<atomic<u32>, 4>;"
            ));
            line(format_args!("{REPORT}"));
            binding = 2;
        }
        for ((name, access), &dtype) in self.operands.iter().zip(&variant.types) {
            let (mode, word) = match access {
                Access::Read => ("read", "u32"),
                Access::ReadVectors => ("read", "vec4<u32>"),
                Access::ReadFours if per_word(dtype) == 1 => ("read", "vec4<u32>"),
                Access::ReadFours => ("read", "vec2<u32>"),
                Access::ReadHalves => ("read", "vec4<f16>"),
                Access::Write => ("read_write", "u32"),
                Access::WriteElements if per_word(dtype) == 1 => ("read_write", "u32"),
                Access::WriteElements => ("read_write", "atomic<u32>"),
            };
            line(format_args!(
                "@group(0) @binding({binding}) var<storage, {mode}> {name}: array<{word}>;"
            ));
            if !matches!(access, Access::ReadVectors | Access::ReadHalves) {
                line(format_args!("{}", element_functions(name, *access, dtype)));
            }
            if *access == Access::ReadFours {
                line(format_args!("{}", four_function(name, dtype)));
            }
            binding += 1;
        }
        source.push_str(CONVERSIONS);
        source.push_str(OWN);
        source.push_str(match (self.reduces, subgroups) {
            (true, true) => REDUCE_SUBGROUPS,
            _ => THREADS,
        });
        if self.reduces && !subgroups {
            source.push_str(REDUCE_SHARED);
        }
        for include in self.includes {
            source.push_str(include);
        }
        if let Some(define) = self.define {
            source.push_str(&define(&variant.constants));
        }
        source.push_str(self.body);
        source
    }

    /// What each binding after the parameters is used for.
    pub(crate) fn accesses(&self) -> impl Iterator<Item = Access> {
        let status = self.checks.then_some(Access::Write);
        status.into_iter().chain(self.operands.iter().map(|&(_, access)| access))
    }
}

const OWN: &str = include_str!("../shaders/own.wgsl");
const THREADS: &str = include_str!("../shaders/threads.wgsl");
const REDUCE_SHARED: &str = include_str!("../shaders/reduce_shared.wgsl");
const REDUCE_SUBGROUPS: &str = include_str!("../shaders/reduce_subgroups.wgsl");

/// The first parameter of a kernel that checks says which operation it belongs to.
const REPORT: &str = "fn report(value: u32) {
    atomicMax(&status[0], param(0u));
    atomicMax(&status[1], value);
}";

/// Whether kernels take elements of this type.
pub(crate) fn is_native(dtype: BitNetDType) -> bool {
    use BitNetDType as T;
    matches!(
        dtype,
        T::Bool | T::U8 | T::U16 | T::U32 | T::I8 | T::I16 | T::I32 | T::F16 | T::BF16 | T::F32
    )
}

/// Elements that share a word of 32 bits; for types that kernels take.
pub(crate) fn per_word(dtype: BitNetDType) -> usize {
    4 / dtype.size_in_bytes().unwrap_or(4).clamp(1, 4)
}

/// The functions of an operand, with `store_NAME(i, v)` where threads share words.
fn element_functions(name: &str, access: Access, dtype: BitNetDType) -> String {
    use BitNetDType as T;
    let (bits, value) = (32 / per_word(dtype) as u32, value_type(dtype));
    let n = 32 / bits;
    let is_shared = access == Access::WriteElements;
    let word = match (access, bits) {
        (Access::ReadFours, _) => format!("{name}[i / 4u][i % 4u / {n}u]"),
        (_, 32) => format!("{name}[i]"),
        (Access::WriteElements, _) => format!("atomicLoad(&{name}[i / {n}u])"),
        _ => format!("{name}[i / {n}u]"),
    };
    let raw = match bits {
        32 => word,
        _ => format!("extractBits({word}, (i % {n}u) * {bits}u, {bits}u)"),
    };
    let load = match dtype {
        T::F32 => format!("bitcast<f32>({raw})"),
        T::BF16 => format!("bitcast<f32>({raw} << 16u)"),
        T::F16 => format!("unpack2x16float({raw}).x"),
        T::I8 | T::I16 => {
            let shift = 32 - bits;
            format!("(bitcast<i32>({raw} << {shift}u) >> {shift}u)")
        }
        T::I32 => format!("bitcast<i32>({raw})"),
        _ => raw,
    };
    let encode = match dtype {
        T::F32 | T::I32 => "bitcast<u32>(v)".to_owned(),
        T::BF16 => "bf16_bits(v)".to_owned(),
        T::F16 => "f16_bits(v)".to_owned(),
        T::I8 | T::I16 => format!("(bitcast<u32>(v) & {}u)", (1u32 << bits) - 1),
        T::U8 | T::U16 => format!("(v & {}u)", (1u32 << bits) - 1),
        _ => "v".to_owned(),
    };
    let upper = name.to_uppercase();
    let store = match (bits, is_shared) {
        (_, false) => String::new(),
        (32, true) => {
            format!("\nfn store_{name}(i: u32, v: {upper}) {{ {name}[i] = encode_{name}(v); }}")
        }
        (_, true) => format!(
            "\nfn store_{name}(i: u32, v: {upper}) {{
    let shift = (i % {n}u) * {bits}u;
    atomicAnd(&{name}[i / {n}u], ~({mask}u << shift));
    atomicOr(&{name}[i / {n}u], encode_{name}(v) << shift);
}}",
            mask = (1u32 << bits) - 1
        ),
    };
    format!(
        "alias {upper} = {value};\n\
         const {upper}_BITS = {bits}u;\n\
         const {upper}_LANES = {lanes}u;\n\
         fn load_{name}(i: u32) -> {upper} {{ return {load}; }}\n\
         fn encode_{name}(v: {upper}) -> u32 {{ return {encode}; }}{store}",
        lanes = n
    )
}

/// Four floats at once, the first being a multiple of four.
fn four_function(name: &str, dtype: BitNetDType) -> String {
    let four = match dtype {
        BitNetDType::F16 => "vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y))",
        BitNetDType::BF16 => {
            "bitcast<vec4<f32>>(vec4<u32>(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u))"
        }
        _ => "bitcast<vec4<f32>>(w)",
    };
    format!(
        "fn four_{name}(i: u32) -> vec4<f32> {{\n    let w = {name}[i / 4u];\n    return {four};\n}}"
    )
}

/// What a kernel computes with.
pub(crate) fn value_type(dtype: BitNetDType) -> &'static str {
    use BitNetDType as T;
    match dtype {
        T::F16 | T::BF16 | T::F32 => "f32",
        T::I8 | T::I16 | T::I32 => "i32",
        _ => "u32",
    }
}

/// Rounding to the nearest, halves to even, in integers: what the packing functions of the language
/// do with halves is up to the driver.
const CONVERSIONS: &str = "
fn bf16_bits(v: f32) -> u32 {
    let bits = bitcast<u32>(v);
    if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}
fn f16_bits(v: f32) -> u32 {
    let bits = bitcast<u32>(v);
    let sign = (bits >> 16u) & 0x8000u;
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { return sign | 0x7e00u | ((magnitude >> 13u) & 0x3ffu); }
    if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
    if (magnitude < 0x33000001u) { return sign; }
    if (magnitude < 0x38800000u) {
        // Below the normal numbers: units of 2^-24.
        let shift = 126u - (magnitude >> 23u);
        let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
        let units = mantissa >> shift;
        let rest = mantissa & ((1u << shift) - 1u);
        let half = 1u << (shift - 1u);
        let up = rest > half || (rest == half && (units & 1u) == 1u);
        return sign | (units + select(0u, 1u, up));
    }
    let rounded = magnitude + 0xfffu + ((magnitude >> 13u) & 1u);
    return sign | ((rounded - 0x38000000u) >> 13u);
}
";
