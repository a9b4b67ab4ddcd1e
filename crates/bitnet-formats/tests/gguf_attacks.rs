//! Hostile and damaged GGUF files, one test per attack: each must be refused with a message that
//! names what is wrong, without a panic; `gguf_memory.rs` counts what it costs.

use bitnet_formats::gguf::{GgmlType, Gguf, MAX_METADATA_ENTRIES, MAX_TENSORS, Value};

const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U8: u32 = 0;
const U32: u32 = 4;

/// A file written piece by piece, with no regard for what is allowed.
#[derive(Clone, Default)]
struct File(Vec<u8>);

impl File {
    fn new(tensors: u64, entries: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(3).u64(tensors).u64(entries)
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn string(self, text: impl AsRef<[u8]>) -> Self {
        self.u64(text.as_ref().len() as u64).bytes(text.as_ref())
    }

    fn entry(self, key: &str, value: u32) -> Self {
        self.string(key).u32(U32).u32(value)
    }

    /// A description; `dims` begin with the innermost, as in files.
    fn tensor(self, name: impl AsRef<[u8]>, dims: &[u64], ty: u32, offset: u64) -> Self {
        let described = self.string(name).u32(dims.len() as u32);
        let described = dims.iter().fold(described, |file, &dim| file.u64(dim));
        described.u32(ty).u64(offset)
    }

    /// Pads to the default alignment and appends `length` bytes of data.
    fn data(mut self, length: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(32) + length, 7);
        self
    }

    #[track_caller]
    fn refused(&self, parts: &[&str]) {
        let message = match Gguf::parse(&self.0) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        };
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert!(message.len() < 1000, "{message}");
    }

    #[track_caller]
    fn accepted(&self) -> Gguf<'_> {
        Gguf::parse(&self.0).unwrap()
    }
}

fn f32_tensor(dims: &[u64], offset: u64, data: usize) -> File {
    File::new(1, 0).tensor("w", dims, 0, offset).data(data)
}

#[test]
fn empty_file() {
    File::default().refused(&["header", "4 bytes expected at byte 0, 0 are left"]);
}

#[test]
fn another_format() {
    File::default().bytes(b"PK\x03\x04 and so on").refused(&["not a GGUF file", "PK"]);
    // The predecessors of GGUF.
    File::default().bytes(b"tjgg\x03\0\0\0").refused(&["not a GGUF file", "tjgg"]);
}

#[test]
fn version_of_another_time() {
    File::default().bytes(b"GGUF").u32(1).u64(0).u64(0).refused(&["version 1", "convert"]);
    File::default().bytes(b"GGUF").u32(4).u64(0).u64(0).refused(&["version 4 is unknown"]);
    File::default().bytes(b"GGUF").u32(0).u64(0).u64(0).refused(&["version 0 is unknown"]);
}

#[test]
fn big_endian() {
    let file = File::default().bytes(b"GGUF").bytes(&3_u32.to_be_bytes()).u64(0).u64(0);
    file.refused(&["big-endian", "version 3", "gguf_convert_endian.py"]);
}

#[test]
fn counts_of_2_to_the_63() {
    File::new(1 << 63, 0).data(64).refused(&["9223372036854775808 tensors, at most"]);
    File::new(0, 1 << 63).data(64).refused(&["9223372036854775808 metadata entries, at most"]);
    File::new(u64::MAX, u64::MAX).data(64).refused(&["18446744073709551615 tensors"]);
}

#[test]
fn counts_beyond_the_file() {
    let file = File::new(MAX_TENSORS, 0).data(64);
    file.refused(&["131072 tensors need at least 3145728 bytes", "are left"]);
    let file = File::new(0, MAX_METADATA_ENTRIES).data(64);
    file.refused(&["65536 metadata entries need at least 917504 bytes"]);
    // Enough bytes for what is claimed, but they are no tensors.
    File::new(2, 0).data(64).refused(&["tensor 1 of 2"]);
}

#[test]
fn array_of_2_to_the_63() {
    for element in [U8, STRING, ARRAY, 10] {
        let file = File::new(0, 1).string("k").u32(ARRAY).u32(element).u64(1 << 63).data(64);
        file.refused(&["metadata k", "an array of 9223372036854775808", "are left"]);
    }
    // 2^61 elements of 8 bytes wrap to 0 in 64 bits.
    let file = File::new(0, 1).string("k").u32(ARRAY).u32(10).u64(1 << 61).data(64);
    file.refused(&["metadata k", "18446744073709551616 bytes"]);
}

#[test]
fn arrays_within_arrays() {
    let nested = |depth: usize| {
        let file = File::new(0, 1).string("k").u32(ARRAY);
        let file = (0..depth - 1).fold(file, |file, _| file.u32(ARRAY).u64(1));
        file.u32(U8).u64(3).bytes(&[1, 2, 3])
    };
    for depth in 1..=4 {
        let file = nested(depth);
        let gguf = file.accepted();
        let mut value = gguf.metadata().value("k").unwrap();
        for _ in 0..depth {
            let Value::Array(array) = value else { panic!("{value:?}") };
            value = array.iter().next().unwrap();
        }
        assert_eq!(value, Value::U8(1));
    }
    nested(5).refused(&["metadata k", "arrays nest deeper than 4"]);
    nested(100_000).refused(&["metadata k", "arrays nest deeper than 4"]);
}

#[test]
fn array_of_unknown_type() {
    let file = File::new(0, 1).string("k").u32(ARRAY).u32(13).u64(0).data(8);
    file.refused(&["metadata k", "value type 13 is unknown"]);
}

#[test]
fn value_of_unknown_type() {
    let file = File::new(0, 1).string("k").u32(u32::MAX).data(8);
    file.refused(&["metadata k", "value type 4294967295 is unknown"]);
}

#[test]
fn strings_beyond_the_file() {
    let key = File::new(0, 1).u64(1 << 40).bytes(b"key").data(32);
    key.refused(&["metadata entry 1 of 1", "1099511627776 bytes expected"]);
    let value = File::new(0, 1).string("k").u32(STRING).u64(u64::MAX).data(32);
    value.refused(&["metadata k", "18446744073709551615 bytes expected"]);
    let element = File::new(0, 1).string("k").u32(ARRAY).u32(STRING).u64(2).string("a");
    element.clone().u64(1 << 62).data(32).refused(&["metadata k: element 1: 46116860184273"]);
    let name = File::new(1, 0).u64(1 << 63).bytes(b"name").data(32);
    name.refused(&["tensor 1 of 1", "9223372036854775808 bytes expected"]);
}

#[test]
fn keys_that_are_no_names() {
    File::new(0, 1).string("").u32(U8).data(8).refused(&["entry 1 of 1", "empty"]);
    let file = File::new(0, 1).string(b"k\xff").u32(U8).bytes(&[1]);
    file.refused(&["metadata entry 1 of 1", "\"k\u{fffd}\" is not UTF-8"]);
    let file = File::new(1, 0).tensor(b"\xc3(", &[1], 0, 0).data(32);
    file.refused(&["tensor 1 of 1", "is not UTF-8"]);
}

/// llama.cpp takes any bytes as a string, and files have such: they are read, and only a caller who
/// wants text is told.
#[test]
fn strings_that_are_not_utf8() {
    let file = File::new(0, 2)
        .string("k")
        .u32(STRING)
        .string(b"a\xffb")
        .string("tokens")
        .u32(ARRAY)
        .u32(STRING)
        .u64(2)
        .string("a")
        .string(b"\x80");
    let gguf = file.accepted();
    let metadata = gguf.metadata();
    assert_eq!(metadata.require::<&[u8]>("k").unwrap(), b"a\xffb");
    let error = metadata.require::<&str>("k").unwrap_err().to_string();
    assert!(error.starts_with("metadata k: a\u{fffd}b is not UTF-8"), "{error}");
    assert_eq!(metadata.require::<Vec<&[u8]>>("tokens").unwrap(), [&b"a"[..], b"\x80"]);
    let error = metadata.require::<Vec<&str>>("tokens").unwrap_err().to_string();
    assert!(error.starts_with("metadata tokens: element 1 "), "{error}");
}

#[test]
fn duplicate_keys() {
    File::new(0, 2).entry("k", 1).entry("k", 1).refused(&["metadata k", "occurs twice"]);
}

#[test]
fn duplicate_names() {
    let file = File::new(2, 0).tensor("w", &[8], 0, 0).tensor("w", &[8], 0, 32).data(64);
    file.refused(&["tensor w", "the name occurs twice"]);
}

#[test]
fn alignment_that_is_none() {
    for alignment in [0, 3, 48, u32::MAX] {
        let file = File::new(0, 1).entry("general.alignment", alignment);
        file.refused(&["metadata general.alignment", "power of two"]);
    }
    let file = File::new(0, 1).string("general.alignment").u32(10).u64(32);
    file.refused(&["metadata general.alignment", "32 (u64)", "power of two (u32)"]);
}

#[test]
fn alignment_beyond_the_file() {
    let file = File::new(1, 1).entry("general.alignment", 1 << 31).tensor("w", &[1], 0, 0);
    file.data(64).refused(&["tensor w", "exceed the file"]);
    File::new(0, 1).entry("general.alignment", 1 << 31).accepted();
}

#[test]
fn offsets_unaligned() {
    f32_tensor(&[1], 4, 64).refused(&["tensor w", "offset 4 is no multiple of the alignment 32"]);
    f32_tensor(&[1], u64::MAX, 64).refused(&["tensor w", "no multiple"]);
}

#[test]
fn offsets_beyond_the_file() {
    f32_tensor(&[1], 64, 64).refused(&["tensor w", "4 bytes at offset 64", "truncated?"]);
    f32_tensor(&[1], 1 << 63, 64).refused(&["tensor w", "exceed the file"]);
    f32_tensor(&[1], u64::MAX - 31, 64).refused(&["tensor w", "exceed the file"]);
}

#[test]
fn offsets_overlapping() {
    let file = File::new(2, 0).tensor("a", &[9], 0, 0).tensor("b", &[8], 0, 32).data(64);
    file.refused(&["tensor b", "overlap those of tensor a"]);
    // In the other order of descriptions, and the same bytes twice.
    let file = File::new(2, 0).tensor("b", &[8], 0, 32).tensor("a", &[9], 0, 0).data(64);
    file.refused(&["tensor b", "overlap those of tensor a"]);
    let file = File::new(2, 0).tensor("a", &[8], 0, 0).tensor("b", &[8], 0, 0).data(32);
    file.refused(&["overlap those of tensor"]);
    // One that lies within another, behind one that is apart.
    let file = File::new(3, 0)
        .tensor("a", &[32], 0, 0)
        .tensor("b", &[1], 0, 64)
        .tensor("c", &[1], 0, 128)
        .data(160);
    file.refused(&["tensor b", "overlap those of tensor a"]);
}

/// Holes and another order are harmless; llama.cpp refuses both.
#[test]
fn holes_and_any_order_are_read() {
    let file = File::new(2, 0).tensor("b", &[8], 0, 96).tensor("a", &[8], 0, 0).data(128);
    let gguf = file.accepted();
    assert_eq!(gguf.tensors()[0].name, "b");
    assert_eq!(gguf.tensor("b").unwrap().range.start, gguf.tensor("a").unwrap().range.start + 96);
}

#[test]
fn zero_size_dimensions() {
    for dims in [&[0_u64][..], &[0, 5], &[5, 0], &[0, 0, 0, 0]] {
        let file = f32_tensor(dims, 0, 0);
        let gguf = file.accepted();
        assert_eq!(gguf.tensors()[0].data.len(), 0);
        assert_eq!(gguf.tensors()[0].elements(), 0);
    }
    // Empty, but who multiplies from the other end would overflow.
    f32_tensor(&[0, 1 << 40, 1 << 40], 0, 0).refused(&["tensor w", "overflow"]);
    // Where an empty tensor lies does not matter to its neighbours.
    let file = File::new(2, 0).tensor("a", &[0], 0, 0).tensor("b", &[8], 0, 0).data(32);
    assert_eq!(file.accepted().tensor("b").unwrap().data.len(), 32);
}

#[test]
fn no_dimensions_are_a_scalar() {
    let file = f32_tensor(&[], 0, 4);
    let gguf = file.accepted();
    let tensor = &gguf.tensors()[0];
    assert_eq!((tensor.shape.len(), tensor.rows(), tensor.row_len()), (0, 1, 1));
    assert_eq!(tensor.data.len(), 4);
}

#[test]
fn more_dimensions_than_ggml_has() {
    f32_tensor(&[1; 5], 0, 32).refused(&["tensor w", "5 dimensions, at most 4"]);
    let file = File::new(1, 0).string("w").u32(u32::MAX).data(64);
    file.refused(&["tensor w", "4294967295 dimensions"]);
}

#[test]
fn dimensions_overflow() {
    f32_tensor(&[1 << 32, 1 << 32], 0, 64).refused(&["tensor w", "overflow"]);
    f32_tensor(&[u64::MAX, 1, 1, 1], 0, 64).refused(&["tensor w", "overflow"]);
    // The elements can be counted, their bytes cannot.
    f32_tensor(&[1 << 61], 0, 64).refused(&["tensor w", "overflow"]);
    // 2^62 elements of 4 bytes wrap to 0 in 64 bits.
    f32_tensor(&[1 << 31, 1 << 31], 0, 64).refused(&["tensor w", "overflow"]);
}

#[test]
fn rows_of_broken_blocks() {
    let q4_0 = File::new(1, 0).tensor("w", &[33, 32], 2, 0).data(2000);
    q4_0.refused(&["tensor w", "[32, 33] of Q4_0", "33 elements", "blocks of 32"]);
    let q4_0 = File::new(1, 0).tensor("w", &[32, 33], 2, 0).data(33 * 18);
    assert_eq!(q4_0.accepted().tensors()[0].data.len(), 33 * 18);
}

#[test]
fn unknown_types() {
    for (id, words) in [
        (43, "type id 43 is unknown"),
        (u32::MAX, "type id 4294967295 is unknown"),
        (4, "type id 4 cannot be read (Q4_2"),
        (31, "make the file again as Q4_0"),
        (139, "a type of ik_llama.cpp"),
    ] {
        let file = File::new(1, 0).tensor("blk.0.w", &[256], id, 0).data(512);
        file.refused(&["tensor blk.0.w", words]);
    }
}

#[test]
fn lookup_tables_of_bitnet_cpp() {
    for (id, ty) in [(38, GgmlType::TL1), (39, GgmlType::TL2)] {
        let file = File::new(2, 1)
            .string("general.architecture")
            .u32(STRING)
            .string("bitnet-b1.58")
            .tensor("blk.0.attn_q.weight", &[256, 2], id, 0)
            .tensor("norm", &[1], 0, 192)
            .data(196);
        let gguf = file.accepted(); // it can be listed
        assert_eq!(gguf.tensors()[0].ggml_type, ty);
        assert_eq!(gguf.tensors()[0].data.len(), 192);
        let error = gguf.check_supported().unwrap_err().to_string();
        for part in ["tensor blk.0.attn_q.weight", ty.name(), "convert the model", "I2_S"] {
            assert!(error.contains(part), "{error}");
        }
    }
    // The same id means something else in other files.
    let file = File::new(1, 0).tensor("w", &[32], 39, 0).data(17);
    assert_eq!(file.accepted().tensors()[0].ggml_type, GgmlType::MXFP4);
    file.accepted().check_supported().unwrap();
}

/// The published files of ternary Bonsai: blocks of 128 under the id that llama.cpp later gave to
/// blocks of 64. Where the next tensor begins decides.
#[test]
fn two_meanings_of_q2_0() {
    let file = |first: u64, second: u64, data: usize| {
        File::new(3, 0)
            .tensor("a", &[256, 8], 42, 0)
            .tensor("b", &[256, 8], 42, first)
            .tensor("norm", &[8], 0, second)
            .data(data)
    };
    let types = |file: File| -> Vec<GgmlType> {
        file.accepted().tensors()[..2].iter().map(|tensor| tensor.ggml_type).collect()
    };
    // 8 rows of 2 blocks of 34 bytes, or of 4 blocks of 18.
    assert_eq!(types(file(544, 1088, 1120)), [GgmlType::PQ2_0; 2]);
    assert_eq!(types(file(576, 1152, 1184)), [GgmlType::Q2_0; 2]);
    // Neither: one of them has no room for the blocks that the other one shows.
    file(544, 1120, 1152).refused(&["tensor b", "overlap those of tensor a"]);
    // A truncated file is called truncated, whatever its last tensor could be taken for.
    let cut = File::new(2, 0).tensor("norm", &[8], 0, 0).tensor("a", &[256, 8], 42, 32);
    cut.clone().data(32 + 544).refused(&["tensor a", "576 bytes", "truncated?"]);
    cut.data(32 + 576).accepted();
}

#[test]
fn rotated_weights() {
    let file = File::new(0, 1).entry("prism.hadamard.block_size", 1024);
    let error = file.accepted().check_supported().unwrap_err().to_string();
    assert!(error.contains("metadata prism.hadamard.block_size: the weights are"), "{error}");
}

/// A file with everything in it, cut anywhere: refused, and never a panic.
#[test]
fn truncated_at_every_byte() {
    let file = File::new(3, 4)
        .string("general.architecture")
        .u32(STRING)
        .string("llama")
        .entry("general.alignment", 32)
        .string("tokens")
        .u32(ARRAY)
        .u32(STRING)
        .u64(2)
        .string("a")
        .string("bc")
        .string("nested")
        .u32(ARRAY)
        .u32(ARRAY)
        .u64(2)
        .u32(U32)
        .u64(1)
        .u32(7)
        .u32(U8)
        .u64(0)
        .tensor("a", &[32, 2], 8, 0)
        .tensor("b", &[4], 36, 96)
        .tensor("c", &[3, 1, 2], 1, 160)
        .data(160 + 12);
    file.accepted();
    for length in 0..file.0.len() {
        let message = Gguf::parse(&file.0[..length]).map(|_| ()).unwrap_err().to_string();
        let says_so = ["are left in the file", "truncated?", "need at least"]
            .iter()
            .any(|words| message.contains(words));
        assert!(says_so, "cut at {length}: {message}");
    }
    // And each byte set to its extremes: an error or a file, never a panic.
    for at in 0..file.0.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = file.clone();
            changed.0[at] = value;
            if let Ok(gguf) = Gguf::parse(&changed.0) {
                for (_, value) in gguf.metadata().entries() {
                    assert!(!value.to_string().contains('\u{1b}'));
                }
            }
        }
    }
}

#[test]
fn endless_names_have_short_messages() {
    let long = "\u{1b}[2J".repeat(10_000);
    let file = File::new(1, 0).tensor(&long, &[1], 77, 0).data(32);
    file.refused(&["tensor \\u{1b}[2J", "type id 77"]);
    File::new(0, 1).string(&long).u32(99).data(32).refused(&["metadata \\u{1b}[2J"]);
}
