//! Hostile and damaged `.npz` files, one test per attack.

use std::io::{Cursor, Write};

use bitnet_formats::npy::write_npy_header;
use bitnet_formats::npz::{DEFAULT_LIMIT, NpzReader, NpzWriter};
use bitnet_formats::{FormatError, RawDType};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An archive of one array of `u8` per name.
fn archive(names: &[&str], length: usize, compressed: bool) -> Vec<u8> {
    let mut writer = NpzWriter::new(Cursor::new(Vec::new()), compressed);
    for name in names {
        writer.write(name, RawDType::U8, &[length], false, &vec![0; length]).expect("written");
    }
    writer.finish().expect("written").into_inner()
}

/// An archive of raw members.
fn members(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, data) in entries {
        writer.start_file(*name, stored).expect("written");
        writer.write_all(data).expect("written");
    }
    writer.finish().expect("written").into_inner()
}

fn read_all(bytes: &[u8], limit: u64) -> Result<usize, FormatError> {
    let mut reader = NpzReader::new(Cursor::new(bytes), limit)?;
    let count = reader.names().len();
    for index in 0..count {
        let array = reader.array(index)?;
        let mut data = vec![0; array.header().byte_len()];
        array.read_into(&mut data)?;
    }
    Ok(count)
}

#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    read_all(bytes, DEFAULT_LIMIT).expect_err("refused").to_string()
}

/// Overwrites every occurrence of `from`.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn what_is_accepted() {
    for compressed in [false, true] {
        assert_eq!(read_all(&archive(&["a", "b"], 10, compressed), 1000).expect("readable"), 2);
    }
}

#[test]
fn not_an_archive() {
    for bytes in [&b""[..], b"PK\x03\x04", &[0; 100]] {
        let message = refusal(bytes);
        assert!(message.starts_with("npz: invalid Zip archive"), "{message}");
    }
}

#[test]
fn truncated_archive() {
    let bytes = archive(&["a"], 100, false);
    for length in 0..bytes.len() {
        assert!(read_all(&bytes[..length], DEFAULT_LIMIT).is_err(), "{length}");
    }
}

#[test]
fn duplicate_names() {
    let bytes = replaced(archive(&["aa", "bb"], 4, false), b"bb.npy", b"aa.npy");
    assert_eq!(refusal(&bytes), "npz: a name occurs twice in the archive");
}

#[test]
fn zip_bomb_above_the_limit() {
    let bytes = archive(&["a", "b"], 1 << 20, true);
    assert!(bytes.len() < 5000);
    assert_eq!(
        read_all(&bytes, 1_500_000).expect_err("refused").to_string(),
        "tensor b: the deflated arrays up to this one declare 2097408 bytes, the limit is 1500000"
    );
}

#[test]
fn declared_size_that_deflate_cannot_reach() {
    // The header of the array and the archive agree on 2^40 elements that are not there.
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let deflated = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file("a.npy", deflated).expect("written");
    let mut header = Vec::new();
    write_npy_header(&mut header, RawDType::U8, &[1 << 30], false).expect("written");
    writer.write_all(&header).expect("written");
    let bytes = writer.finish().expect("written").into_inner();
    let declared = u32::try_from(header.len() + (1 << 30)).expect("32 bits").to_le_bytes();
    let length = u32::try_from(header.len()).expect("32 bits").to_le_bytes();
    let bytes = replaced(bytes, &length, &declared);
    let message = refusal(&bytes);
    assert!(
        message.starts_with("tensor a: declares 1073741952 bytes, more than")
            && message.ends_with("deflated bytes can hold"),
        "{message}"
    );
}

#[test]
fn array_larger_than_its_member() {
    let mut file = Vec::new();
    write_npy_header(&mut file, RawDType::F64, &[1 << 40], false).expect("written");
    assert_eq!(
        refusal(&members(&[("a.npy", &file)])),
        "tensor a: truncated: [1099511627776] of F64 needs 8796093022208 bytes, 0 follow the header"
    );
}

#[test]
fn wrong_check_sum() {
    let bytes = archive(&["a"], 100, false);
    let mut damaged = bytes.clone();
    damaged[200] ^= 1; // an element
    let message = refusal(&damaged);
    assert!(message.contains("cannot read: Invalid checksum"), "{message}");
}

#[test]
fn member_that_is_no_array() {
    assert_eq!(refusal(&members(&[("a.txt", b"x")])), "tensor a.txt: is not an .npy file");
    assert_eq!(
        refusal(&members(&[("a.npy", b"x")])),
        "tensor a: not an .npy file: it does not begin with \"\\x93NUMPY\""
    );
}

#[test]
fn pickled_member() {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    let header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    assert_eq!(
        refusal(&members(&[("a.npy", &file)])),
        "tensor a: npy header: elements of type '|O': Python objects are pickles, which can run \
         code when they are loaded"
    );
}

#[test]
fn names_that_cannot_be_written() {
    let mut writer = NpzWriter::new(Cursor::new(Vec::new()), false);
    let mut write = |name, data: &[u8]| {
        writer.write(name, RawDType::U8, &[1], false, data).map_err(|error| error.to_string())
    };
    assert_eq!(write("a", &[1]), Ok(()));
    assert_eq!(write("a", &[1]), Err("tensor a: the name occurs twice".into()));
    assert_eq!(write("", &[1]), Err("tensor \"\": an array needs a name".into()));
    assert_eq!(write("b", &[]), Err("tensor b: 0 bytes given for [1] of U8".into()));
}
