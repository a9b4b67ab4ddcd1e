//! The tensors of a file by name, in the order of the file.

use std::collections::{BTreeMap, HashMap};
use std::slice;

use crate::BitNetTensor;

/// Tensors with unique names, in the order of the file that they come from.
///
/// ```
/// use bitnet_tensor::BitNetTensor;
/// let path = std::env::temp_dir().join(format!("named-{}.npz", std::process::id()));
/// let (w, b) = (BitNetTensor::from_nested([[1.0f32, 2.0]])?, BitNetTensor::scalar(3i64)?);
/// BitNetTensor::save_npz(&path, &[("weight", &w), ("bias", &b)])?;
///
/// let tensors = BitNetTensor::load_npz(&path)?;
/// assert_eq!(tensors.names().collect::<Vec<_>>(), ["weight", "bias"]);
/// assert_eq!(tensors.get("bias").unwrap().item::<i64>()?, 3);
/// for (name, tensor) in &tensors {
///     println!("{name}: {tensor:?}");
/// }
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct NamedTensors {
    entries: Vec<(String, BitNetTensor)>,
    places: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl NamedTensors {
    /// The names are unique: the parsers refuse files where they are not.
    pub(super) fn new(
        entries: Vec<(String, BitNetTensor)>,
        metadata: BTreeMap<String, String>,
    ) -> Self {
        let places =
            entries.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
        Self { entries, places, metadata }
    }

    /// The tensor of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&BitNetTensor> {
        self.places.get(name).map(|&place| &self.entries[place].1)
    }

    /// The names in the order of the file.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Names and tensors in the order of the file.
    pub fn iter(&self) -> slice::Iter<'_, (String, BitNetTensor)> {
        self.entries.iter()
    }

    /// How many tensors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the file says of itself: the `__metadata__` of safetensors. Empty for `.npz`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

impl<'a> IntoIterator for &'a NamedTensors {
    type Item = &'a (String, BitNetTensor);
    type IntoIter = slice::Iter<'a, (String, BitNetTensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for NamedTensors {
    type Item = (String, BitNetTensor);
    type IntoIter = std::vec::IntoIter<(String, BitNetTensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}
