//! Hostile and damaged `.npy` files, one test per attack: each is refused with a message that names
//! what is wrong, and nothing is allocated from what the file claims.

use bitnet_formats::RawDType;
use bitnet_formats::npy::{NpyArray, NpyHeader, NpyStream, write_npy_header};
use proptest::prelude::*;

/// A file of version 1.0.
fn file(header: &str, data_len: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data_len, 0);
    bytes
}

fn array(descr: &str, shape: &str, data_len: usize) -> Vec<u8> {
    file(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"), data_len)
}

#[track_caller]
fn assert_refused(bytes: &[u8], message: &str) {
    assert_eq!(NpyArray::parse(bytes).expect_err("refused").to_string(), message);
    assert!(NpyStream::new(bytes, bytes.len() as u64).is_err(), "the stream accepts it");
}

#[test]
fn what_is_accepted() {
    assert!(NpyArray::parse(&array("<f4", "(2, 3)", 24)).is_ok());
    assert!(NpyArray::parse(&array("<f4", "()", 4)).is_ok());
    // As Python 2 wrote sizes, and any order of the keys.
    let old = "{\"shape\": (2L,3L), 'fortran_order':True , 'descr':'=i2'}";
    let parsed = NpyHeader::parse(&file(old, 0)).expect("readable");
    assert_eq!((parsed.dtype, parsed.fortran_order), (RawDType::I16, true));
    assert_eq!(parsed.shape, [2, 3]);
}

#[test]
fn empty_file() {
    assert_refused(b"", "not an .npy file: it does not begin with \"\\x93NUMPY\"");
}

#[test]
fn another_file() {
    assert_refused(b"PK\x03\x04....", "not an .npy file: it does not begin with \"\\x93NUMPY\"");
}

#[test]
fn truncated_before_the_length() {
    for bytes in [&b"\x93NUMPY"[..], b"\x93NUMPY\x01", b"\x93NUMPY\x01\0v", b"\x93NUMPY\x02\0vvv"] {
        assert_refused(bytes, "npy header: truncated before the length of the header");
    }
}

#[test]
fn truncated_header() {
    assert_refused(
        &array("<f4", "(2,)", 0)[..40],
        "npy header: truncated: the header should have 58 bytes, 30 are left in the file",
    );
}

#[test]
fn huge_header_length() {
    let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
    bytes.extend(u32::MAX.to_le_bytes());
    assert_refused(&bytes, "npy header: a header of 4294967295 bytes, at most 65536 are read");
}

#[test]
fn version_from_the_future() {
    assert_refused(b"\x93NUMPY\x04\0....", "npy header: version 4.0; known are 1.0, 2.0, 3.0");
    assert_refused(b"\x93NUMPY\x01\x01....", "npy header: version 1.1; known are 1.0, 2.0, 3.0");
}

#[test]
fn shape_product_overflows() {
    assert_refused(
        &array("<f4", "(4294967296, 4294967296)", 0),
        "npy header: the shape [4294967296, 4294967296] of F32 overflows",
    );
    assert_refused(
        &array("|u1", "(9223372036854775808,)", 0),
        "npy header: the shape [9223372036854775808] of U8 overflows",
    );
    assert_refused(
        &array("<f4", "(0, 18446744073709551615)", 0),
        "npy header: the shape [0, 18446744073709551615] of F32 overflows",
    );
}

#[test]
fn size_above_64_bits() {
    let bytes = array("|u1", "(99999999999999999999,)", 0);
    assert_refused(
        &bytes,
        "npy header: expected a size below 2^64 at byte 51 of the header, found 999999999999",
    );
}

#[test]
fn negative_size() {
    assert_refused(
        &array("|u1", "(-1,)", 0),
        "npy header: expected a size below 2^64 at byte 51 of the header, found -1,), }\\n",
    );
}

#[test]
fn thousands_of_axes() {
    let shape = format!("({})", "1,".repeat(1000));
    assert_refused(&array("|u1", &shape, 1), "npy header: the shape has more than 64 axes");
}

#[test]
fn pickled_objects() {
    assert_refused(
        &array("|O", "(1,)", 8),
        "npy header: elements of type '|O': Python objects are pickles, which can run code when \
         they are loaded",
    );
}

#[test]
fn records() {
    assert_refused(
        &file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4),
        "npy header: records (a list as 'descr') have no equivalent here",
    );
}

#[test]
fn types_without_equivalent() {
    for (descr, why) in [
        ("<c8", "complex numbers have no equivalent here: save real and imaginary parts"),
        ("|S4", "text has no equivalent here"),
        ("<U4", "text has no equivalent here"),
        ("<M8[ns]", "dates and times have no equivalent here: save them as integers"),
        ("|V2", "bytes without a meaning; bfloat16 is read as ml_dtypes writes it, '<V2'"),
        ("|V1", "bytes without a meaning; bfloat16 is read as ml_dtypes writes it, '<V2'"),
        ("<f16", "known floats have 2, 4 or 8 bytes"),
        ("<q9", "unknown"),
        ("", "unknown"),
    ] {
        let message = format!("npy header: elements of type '{descr}': {why}");
        let message = if descr.is_empty() { message.replace("''", "'\"\"'") } else { message };
        assert_refused(&array(descr, "(1,)", 16), &message);
    }
    assert_refused(
        &array("|f4", "(1,)", 4),
        "npy header: '|f4' does not say the order of its bytes",
    );
}

#[test]
fn keys_that_are_missing_repeated_or_unknown() {
    assert_refused(&file("{}", 0), "npy header: the key 'descr' is missing");
    assert_refused(
        &file("{'descr': '<f4', 'fortran_order': False}", 0),
        "npy header: the key 'shape' is missing",
    );
    assert_refused(
        &file("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': ()}", 8),
        "npy header: the key 'descr' occurs twice",
    );
    assert_refused(
        &file("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': True}", 4),
        "npy header: the key 'x' is unknown",
    );
    assert_refused(
        &file("{'descr': '<f4', 'fortran_order': '', 'shape': ()}", 4),
        "npy header: the value of 'fortran_order' has the wrong type",
    );
}

#[test]
fn what_is_no_dictionary() {
    assert_refused(
        &file("__import__('os')", 0),
        "npy header: expected '{' at byte 0 of the header, found __import__('",
    );
    assert_refused(
        &file("{'descr': 1}", 0),
        "npy header: expected a string, True, False or a tuple at byte 10 of the header, found 1}",
    );
    assert_refused(
        &file("{'descr': '<f4\\x00'}", 0),
        "npy header: expected a string without escapes at byte 10 of the header, found '<f4\\x00'}",
    );
    assert_refused(
        &array("<f4", "(3)", 12),
        "npy header: expected ',': one size in brackets is not a tuple at byte 52 of the header, \
         found ), }\\n",
    );
    assert_refused(
        &file("{'descr': '<f4', 'fortran_order': False, 'shape': ()} junk", 4),
        "npy header: expected nothing more at byte 54 of the header, found junk",
    );
    assert_refused(&file("\u{e9}", 0), "npy header: the header is not text");
}

#[test]
fn elements_that_are_missing_or_too_many() {
    assert_refused(
        &array("<f4", "(2, 3)", 23),
        "truncated: [2, 3] of F32 needs 24 bytes, 23 follow the header",
    );
    assert_refused(
        &array("<f4", "(2, 3)", 25),
        "1 bytes follow the array of [2, 3] F32: a file holds one array",
    );
}

#[test]
fn stream_shorter_or_longer_than_announced() {
    let bytes = array("|u1", "(200000,)", 200_000);
    let read = |bytes: &[u8]| {
        let stream = NpyStream::new(bytes, bytes.len() as u64)?;
        stream.read_into(&mut vec![0; 200_000])
    };
    assert!(read(&bytes).is_ok());
    let announced = bytes.len() as u64;
    let stream = NpyStream::new(&bytes[..150_000], announced).expect("the header is there");
    let error = stream.read_into(&mut vec![0; 200_000]).expect_err("truncated");
    assert_eq!(error.to_string(), "truncated: the elements end before their announced length");
    let longer = [&bytes[..], b"x"].concat();
    let stream = NpyStream::new(&longer[..], announced).expect("the header is there");
    let error = stream.read_into(&mut vec![0; 200_000]).expect_err("too long");
    assert_eq!(error.to_string(), "more bytes follow than were announced");
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(
        mut bytes in Just(array("<f4", "(2, 3)", 24)),
        places in prop::collection::vec((0_usize..100, any::<u8>()), 1..4),
        length in 0_usize..100,
    ) {
        for (place, byte) in places {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let _ = NpyArray::parse(&bytes);
        let _ = NpyArray::parse(&bytes[..length.min(bytes.len())]);
    }

    #[test]
    fn what_is_written_is_read(
        shape in prop::collection::vec(0_usize..1000, 0..5),
        dtype in prop::sample::select(&RawDType::ALL[..]),
        fortran_order: bool,
    ) {
        let mut bytes = Vec::new();
        write_npy_header(&mut bytes, dtype, &shape, fortran_order).expect("a vector takes it");
        prop_assert_eq!(bytes.len() % 64, 0);
        let header = NpyHeader::parse(&bytes).expect("readable");
        prop_assert_eq!(header.data_start, bytes.len());
        prop_assert_eq!((header.dtype, header.fortran_order), (dtype, fortran_order));
        prop_assert_eq!(header.shape, shape);
    }
}
