//! safetensors and its index of shards: whatever is accepted must be consistent, and written again
//! it must be read alike.

use bitnet_formats::safetensors::{SafeTensors, write_safetensors};
use bitnet_formats::shards::ShardIndex;

/// One input.
pub fn run(data: &[u8]) {
    match ShardIndex::parse(data) {
        Ok(index) => {
            for file in index.files() {
                assert!(!file.contains(['/', '\\', ':']) && !file.starts_with('.'));
                for tensor in index.tensors_in(file) {
                    assert_eq!(index.file_of(tensor), Some(file));
                }
            }
        }
        Err(error) => check_message(&error.to_string()),
    }
    match SafeTensors::parse(data) {
        Ok(file) => check(&file, data),
        Err(error) => check_message(&error.to_string()),
    }
}

/// A message is one line that fits a terminal, whatever the file holds.
fn check_message(message: &str) {
    assert!(message.len() < 2000, "{} bytes of message", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
}

fn check(file: &SafeTensors<'_>, data: &[u8]) {
    let mut end = None;
    for tensor in file.tensors() {
        assert_eq!(tensor.data, &data[tensor.range.clone()]);
        assert_eq!(tensor.dtype.byte_len(&tensor.shape), Some(tensor.data.len()));
        assert!(end.is_none_or(|end| tensor.range.start == end));
        end = Some(tensor.range.end);
    }
    let mut written = Vec::new();
    write_safetensors(&mut written, file.tensors(), file.metadata()).expect("what was read");
    let again = SafeTensors::parse(&written).expect("what was written is read");
    assert_eq!(again.metadata(), file.metadata());
    assert_eq!(again.tensors().len(), file.tensors().len());
    for tensor in file.tensors() {
        let same = again.tensor(&tensor.name).expect("every tensor");
        assert_eq!(
            (same.dtype, &same.shape, same.data),
            (tensor.dtype, &tensor.shape, tensor.data)
        );
    }
}
