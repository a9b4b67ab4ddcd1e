//! What a hostile GGUF file can make the reader allocate: at most 64 MB beyond its own size. The
//! only test in this file, because it counts what the whole process allocates.

use bitnet_formats::gguf::{Gguf, MAX_METADATA_ENTRIES, MAX_TENSORS};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const LIMIT: usize = 64 << 20;

/// The most bytes that were allocated at once while `f` ran, beyond what was there before.
fn peak_of(f: impl FnOnce()) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    f();
    ALLOCATED.peak_usage().saturating_sub(before)
}

fn header(tensors: u64, entries: u64) -> Vec<u8> {
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend_from_slice(&tensors.to_le_bytes());
    file.extend_from_slice(&entries.to_le_bytes());
    file
}

/// As many tensors as are read, each of the most dimensions, no two names alike.
fn most_tensors(last_name: u64) -> Vec<u8> {
    let mut file = header(MAX_TENSORS, 0);
    for i in 0..MAX_TENSORS {
        let name = if i + 1 == MAX_TENSORS { last_name } else { i };
        file.extend_from_slice(&8_u64.to_le_bytes());
        file.extend_from_slice(format!("{name:08x}").as_bytes());
        file.extend_from_slice(&4_u32.to_le_bytes());
        file.extend_from_slice(&[0; 4 * 8]); // empty
        file.extend_from_slice(&[0; 4 + 8]); // F32 at 0
    }
    file.resize(file.len().next_multiple_of(32), 0);
    file
}

/// As many metadata entries as are read.
fn most_entries() -> Vec<u8> {
    let mut file = header(0, MAX_METADATA_ENTRIES);
    for i in 0..MAX_METADATA_ENTRIES {
        file.extend_from_slice(&8_u64.to_le_bytes());
        file.extend_from_slice(format!("{i:08x}").as_bytes());
        file.extend_from_slice(&[0, 0, 0, 0, 1]); // u8
    }
    file
}

/// One array of `count` elements of a type, all bytes of them zero.
fn array(element: u32, count: u64, bytes_each: usize) -> Vec<u8> {
    let mut file = header(0, 1);
    file.extend_from_slice(&1_u64.to_le_bytes());
    file.extend_from_slice(b"k\x09\0\0\0");
    file.extend_from_slice(&element.to_le_bytes());
    file.extend_from_slice(&count.to_le_bytes());
    file.resize(file.len() + count as usize * bytes_each, 0);
    file
}

#[test]
fn reading_allocates_little_whatever_the_file_says() {
    let claims_everything = [header(u64::MAX, u64::MAX), vec![0; 1024]].concat();
    let unfilled_array = {
        let mut file = array(8, 0, 0);
        let at = file.len() - 8;
        file[at..].copy_from_slice(&(1_u64 << 63).to_le_bytes());
        file
    };
    for (what, file, is_read) in [
        ("counts of 2^64", claims_everything, false),
        ("an array of 2^63", unfilled_array, false),
        ("as many tensors as are read", most_tensors(MAX_TENSORS), true),
        ("the same with the last name twice", most_tensors(0), false),
        ("as many entries as are read", most_entries(), true),
        ("a million empty strings", array(8, 1 << 20, 8), true),
        ("a million empty arrays", array(9, 1 << 20, 12), true),
        ("16 million bytes", array(0, 16 << 20, 1), true),
    ] {
        let mut parsed = false;
        let peak = peak_of(|| parsed = Gguf::parse(&file).is_ok());
        assert_eq!(parsed, is_read, "{what}");
        println!("{what}: {} bytes of file, {peak} bytes allocated", file.len());
        assert!(peak <= LIMIT, "{what}: {peak} bytes");
    }
    // A vocabulary costs one allocation when it is asked for, and none when the file is read.
    let file = array(8, 128 << 10, 8);
    let gguf = Gguf::parse(&file).unwrap();
    assert!(peak_of(|| drop(Gguf::parse(&file))) < 4096);
    let tokens = peak_of(|| drop(gguf.metadata().require::<Vec<&str>>("k").unwrap()));
    assert!(tokens <= 2 * (128 << 10) * size_of::<&str>(), "{tokens}");
}
