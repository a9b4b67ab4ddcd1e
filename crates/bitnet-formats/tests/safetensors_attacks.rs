//! Hostile and damaged safetensors files, one test per attack: each must be refused with a message
//! that names what is wrong, and wherever the official crate is asked, it must refuse as well.

use bitnet_formats::safetensors::SafeTensors;

fn file(header: &str, data_len: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data_len, 0);
    bytes
}

/// Both implementations refuse; ours says why.
fn assert_refused(bytes: &[u8], parts: &[&str]) {
    assert!(
        safetensors::SafeTensors::deserialize(bytes).is_err(),
        "the official crate accepts this file"
    );
    assert_refused_by_ours(bytes, parts);
}

fn assert_refused_by_ours(bytes: &[u8], parts: &[&str]) {
    let message = match SafeTensors::parse(bytes) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(message.len() < 1000, "{message}");
}

fn one(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

fn two(first: &str, second: &str) -> String {
    format!(
        r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":{first}}},"b":{{"dtype":"U8","shape":[4],"data_offsets":{second}}}}}"#
    )
}

#[test]
fn empty_file() {
    assert_refused(b"", &["0 bytes"]);
}

#[test]
fn seven_bytes() {
    assert_refused(&[0; 7], &["7 bytes"]);
}

#[test]
fn header_of_length_zero() {
    assert_refused(&[0; 8], &["does not begin with '{'"]);
}

#[test]
fn header_length_2_to_the_63() {
    let mut bytes = (1_u64 << 63).to_le_bytes().to_vec();
    bytes.extend_from_slice(b"{}");
    assert_refused(&bytes, &["header length 9223372036854775808"]);
}

#[test]
fn header_beyond_the_file() {
    let mut bytes = 1000_u64.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"{}");
    assert_refused(&bytes, &["truncated", "1000", "2 are left"]);
}

#[test]
fn header_is_not_json() {
    assert_refused(&file("{w: 1}", 0), &["header", "key must be a string"]);
}

#[test]
fn header_is_not_utf8() {
    let mut bytes = file(r#"{"w": "_"}"#, 0);
    bytes[8 + 7] = 0xff;
    assert_refused(&bytes, &["header"]);
}

#[test]
fn header_is_not_an_object() {
    assert_refused(&file("[1,2]", 0), &["does not begin with '{'"]);
}

#[test]
fn header_has_garbage_behind_the_object() {
    assert_refused(&file("{}x", 0), &["trailing characters"]);
}

#[test]
fn tensor_is_not_an_object() {
    assert_refused(&file(r#"{"w": 3}"#, 0), &["tensor w", "invalid type"]);
}

#[test]
fn tensor_lacks_a_field() {
    assert_refused(
        &file(r#"{"w": {"dtype": "U8", "shape": [1]}}"#, 1),
        &["tensor w", "missing field `data_offsets`"],
    );
}

#[test]
fn field_occurs_twice() {
    let header = r#"{"w":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    assert_refused(&file(header, 1), &["tensor w", "duplicate field `dtype`"]);
}

#[test]
fn negative_dimension() {
    assert_refused(&file(&one("U8", "[-1]", "[0,1]"), 1), &["tensor w", "-1"]);
}

#[test]
fn overlapping_tensors() {
    assert_refused(&file(&two("[0,4]", "[2,6]"), 6), &["tensor b", "overlapping tensor a"]);
}

#[test]
fn tensors_on_the_same_bytes() {
    assert_refused(&file(&two("[0,4]", "[0,4]"), 4), &["tensor b", "overlapping tensor a"]);
}

#[test]
fn hole_between_tensors() {
    assert_refused(
        &file(&two("[0,4]", "[6,10]"), 10),
        &["tensor b", "begins at 6", "hole after tensor a"],
    );
}

#[test]
fn hole_before_the_first_tensor() {
    assert_refused(
        &file(&one("U8", "[4]", "[2,6]"), 6),
        &["tensor w", "hole after the data's beginning"],
    );
}

#[test]
fn offsets_out_of_range() {
    assert_refused(
        &file(&one("U8", "[40]", "[0,40]"), 4),
        &["tensor w", "[0, 40]", "the 4 data bytes"],
    );
}

#[test]
fn offsets_at_the_end_of_u64() {
    assert_refused(
        &file(&one("U8", "[1]", "[18446744073709551614,18446744073709551615]"), 4),
        &["tensor w", "exceed"],
    );
}

#[test]
fn begin_after_end() {
    assert_refused(
        &file(&one("U8", "[2]", "[4,2]"), 4),
        &["tensor w", "begin at 4, after their end 2"],
    );
}

#[test]
fn dimensions_overflow() {
    let shape = "[4294967296,4294967296,4294967296]";
    assert_refused(&file(&one("F32", shape, "[0,4]"), 4), &["tensor w", "overflows"]);
}

#[test]
fn dimensions_overflow_to_a_plausible_size() {
    // 2^62 * 4 elements wrap to 0 in 64 bits.
    assert_refused(
        &file(&one("F32", "[4611686018427387904,4]", "[0,0]"), 0),
        &["tensor w", "overflows"],
    );
}

#[test]
fn size_disagrees_with_shape() {
    assert_refused(&file(&one("F32", "[2]", "[0,4]"), 4), &["tensor w", "hold 4 bytes", "needs 8"]);
}

#[test]
fn duplicate_tensor_names() {
    let header = r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#;
    assert_refused_by_ours(&file(header, 8), &["tensor w", "occurs twice"]);
}

#[test]
fn duplicate_names_in_disguise() {
    let header = r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0077":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#;
    assert_refused_by_ours(&file(header, 8), &["tensor w", "occurs twice"]);
}

#[test]
fn duplicate_metadata() {
    assert_refused_by_ours(
        &file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0),
        &["__metadata__ occurs twice"],
    );
    assert_refused_by_ours(
        &file(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0),
        &["__metadata__", "k occurs twice"],
    );
}

#[test]
fn metadata_is_not_strings() {
    assert_refused(&file(r#"{"__metadata__":{"k":1}}"#, 0), &["__metadata__", "k"]);
}

#[test]
fn unknown_dtype() {
    assert_refused(
        &file(&one("Q4_0", "[4]", "[0,4]"), 4),
        &["tensor w", "dtype Q4_0 is not supported", "BF16"],
    );
}

#[test]
fn official_dtype_which_is_not_supported_here() {
    assert_refused_by_ours(
        &file(&one("F8_E4M3", "[4]", "[0,4]"), 4),
        &["tensor w", "dtype F8_E4M3 is not supported"],
    );
}

#[test]
fn truncated_data() {
    assert_refused(&file(&one("U8", "[8]", "[0,8]"), 7), &["tensor w", "truncated"]);
}

#[test]
fn trailing_garbage() {
    assert_refused(&file(&one("U8", "[8]", "[0,8]"), 11), &["3 bytes after the last tensor"]);
}

#[test]
fn deep_nesting() {
    let deep = format!(r#"{{"w":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_refused(&file(&deep, 0), &["tensor w", "invalid type"]);
}

/// Fields that the reader does not know are skipped without recursion, whatever they nest.
#[test]
fn deep_nesting_in_an_unknown_field() {
    let header = format!(
        r#"{{"w":{{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let bytes = file(&header, 1);
    assert_eq!(SafeTensors::parse(&bytes).unwrap().tensors().len(), 1);
}

#[test]
fn endless_shape_has_a_short_message() {
    let shape = format!("[{}2]", "2,".repeat(10_000));
    assert_refused(
        &file(&one("U8", &shape, "[0,1]"), 1),
        &["tensor w", "overflows", "10001 dimensions"],
    );
}
