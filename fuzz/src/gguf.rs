//! GGUF: whatever is accepted must be consistent, and written again it must be read alike.

use bitnet_formats::gguf::{
    Gguf, GgufTensorSpec, GgufWriter, MetadataBuilder, ShardName, Value, check_shards,
};

/// One input.
pub fn run(data: &[u8]) {
    if let Ok(name) = std::str::from_utf8(data)
        && let Some(part) = ShardName::parse(name)
    {
        assert_eq!(part.all().nth(part.number as usize - 1).as_deref(), Some(name));
    }
    let gguf = match Gguf::parse(data) {
        Ok(gguf) => gguf,
        Err(error) => return check_message(&error.to_string()),
    };
    for error in [
        gguf.check_supported().err(),
        gguf.split().err(),
        check_shards(std::slice::from_ref(&gguf)).err(),
    ]
    .into_iter()
    .flatten()
    {
        check_message(&error.to_string());
    }
    check_metadata(&gguf);
    check_places(&gguf, data);
    check_round_trip(&gguf);
}

/// A message is one line that fits a terminal, whatever the file holds.
fn check_message(message: &str) {
    assert!(message.len() < 2000, "{} bytes of message", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
}

fn check_metadata(gguf: &Gguf<'_>) {
    let metadata = gguf.metadata();
    for (key, value) in metadata.entries() {
        let _ = value.to_string();
        if let Value::Array(array) = value {
            assert_eq!(array.iter().count(), array.len());
        }
        for error in [
            metadata.require::<u32>(key).err(),
            metadata.require::<f64>(key).err(),
            metadata.require::<&str>(key).err(),
            metadata.require::<Vec<&str>>(key).err(),
            metadata.require::<Vec<Vec<i8>>>(key).err(),
        ]
        .into_iter()
        .flatten()
        {
            check_message(&error.to_string());
        }
    }
}

/// Tensors are aligned, within the file, as long as they have to be, and apart.
fn check_places(gguf: &Gguf<'_>, data: &[u8]) {
    let mut ranges = Vec::new();
    for tensor in gguf.tensors() {
        assert_eq!(tensor.data, &data[tensor.range.clone()]);
        if let Ok(size) = tensor.ggml_type.tensor_bytes(&tensor.shape) {
            assert_eq!(tensor.data.len(), size);
            assert_eq!(tensor.range.start % gguf.alignment(), 0);
        }
        assert_eq!(tensor.rows() * tensor.row_len(), tensor.elements());
        assert!(gguf.tensor(tensor.name).is_some());
        if let Some(raw) = tensor.to_raw() {
            assert_eq!(raw.dtype.byte_len(&raw.shape), Some(raw.data.len()));
        }
        ranges.push((tensor.range.start, tensor.range.end));
    }
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
}

fn check_round_trip(gguf: &Gguf<'_>) {
    // Padding to a huge alignment is allowed and says nothing.
    if gguf.alignment() > 4096 {
        return;
    }
    let Some(first) = written(gguf) else {
        return;
    };
    let again = Gguf::parse(&first).expect("what was written is read");
    assert_eq!(again.tensors().len(), gguf.tensors().len());
    for (a, b) in again.tensors().iter().zip(gguf.tensors()) {
        assert_eq!(
            (a.name, a.ggml_type, &a.shape, a.data),
            (b.name, b.ggml_type, &b.shape, b.data)
        );
    }
    assert_eq!(written(&again).as_deref(), Some(&*first));
}

/// The file written again; `None` where it holds types of unknown size.
fn written(gguf: &Gguf<'_>) -> Option<Vec<u8>> {
    let mut metadata = MetadataBuilder::new();
    for (key, value) in gguf.metadata().entries() {
        metadata.push(key, *value).expect("keys and alignment were read");
    }
    let mut specs = Vec::new();
    for tensor in gguf.tensors() {
        tensor.ggml_type.tensor_bytes(&tensor.shape).ok()?;
        specs.push(GgufTensorSpec {
            name: tensor.name.to_owned(),
            ggml_type: tensor.ggml_type,
            shape: tensor.shape.clone(),
        });
    }
    let mut writer = GgufWriter::new(Vec::new(), &metadata, specs).expect("sizes were read");
    for tensor in gguf.tensors().iter().filter(|tensor| !tensor.data.is_empty()) {
        writer.write_next(tensor.data).expect("as many bytes as were read");
    }
    Some(writer.finish().expect("all tensors"))
}
