//! Kernels that the driver compiled, kept from run to run: one file for each kind of adapter, in the
//! user's folder for caches. Where an interface keeps them by itself (Metal, DX12) there is none, and drivers
//! that compute on the processor give nothing to keep: their files are a hundred bytes.
//!
//! A file that cannot be read, or is not whole, is as if it were not there; one that cannot be written is
//! done without. It ends with a checksum of what `wgpu` gave, whose own beginning names adapter and driver:
//! both are compared before the driver sees a byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bitnet_tensor::Result;
use bitnet_tensor::backend::environment::{cache_folder, keep};

use super::lock;

/// New kernels that are worth a file of their own; and of more than that, one in so many.
const WORTH_KEEPING: usize = 8;
const SHARE: usize = 4;
/// A file beyond this is not kept: what it saves is not worth reading it.
const LARGEST: usize = 64 << 20;

/// What the driver compiled, and how much of it is in the file.
#[derive(Debug)]
pub(super) struct KernelCache {
    pub(super) pipelines: wgpu::PipelineCache,
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    kernels: usize,
    bytes: usize,
}

/// Where those of an adapter are; `None` where nothing is kept.
pub(super) fn path(adapter: &wgpu::AdapterInfo) -> Option<PathBuf> {
    let key = wgpu::util::pipeline_cache_key(adapter)?;
    Some(cache_folder()?.join(format!("{}-{key}", env!("CARGO_PKG_VERSION"))))
}

/// What an earlier run kept there.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok().filter(|bytes| bytes.len() <= LARGEST)?;
    let length = bytes.len().checked_sub(8)?;
    let (data, sum) = bytes.split_at(length);
    if checksum(data).to_le_bytes() != sum {
        return None;
    }
    bytes.truncate(length);
    Some(bytes)
}

impl KernelCache {
    /// Begins with `bytes` of the file at `path`.
    pub(super) fn new(pipelines: wgpu::PipelineCache, path: PathBuf, bytes: usize) -> Self {
        Self { pipelines, path, kept: Mutex::new(Kept { kernels: 0, bytes }) }
    }

    /// Writes the file anew when enough of `kernels`, the number of those compiled so far, are not in it.
    pub(super) fn keep(&self, kernels: usize) {
        let kept = &mut *lock(&self.kept);
        if kernels - kept.kernels < WORTH_KEEPING.max(kept.kernels / SHARE) {
            return;
        }
        kept.kernels = kernels;
        let Some(data) = self.pipelines.get_data() else { return };
        // The same number of bytes: all of them came from the file.
        if data.len() == kept.bytes || data.len() > LARGEST {
            return;
        }
        kept.bytes = data.len();
        if let Err(error) = write(&self.path, data) {
            tracing::debug!(path = %self.path.display(), %error, "compiled kernels are not kept");
        }
    }
}

fn write(path: &Path, mut data: Vec<u8>) -> Result<()> {
    data.extend(checksum(&data).to_le_bytes());
    keep("keep kernels", path, &data)
}

/// FNV-1a over words: a power that went off in the middle of a file, not an enemy.
fn checksum(data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<8>();
    let words = words.iter().map(|&word| u64::from_le_bytes(word));
    let rest = rest.iter().map(|&byte| u64::from(byte));
    words.chain(rest).chain([data.len() as u64]).fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        ((sum ^ word).wrapping_mul(0x0000_0100_0000_01b3)).rotate_left(23)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_not_read() {
        let folder = std::env::temp_dir().join(format!("bitnet-kernels-{}", std::process::id()));
        let path = folder.join("below").join("1.2-kernels_1_2");
        assert_eq!(read(&path), None);
        let data: Vec<u8> = (0..1003).map(|n| n as u8).collect();
        write(&path, data.clone()).expect("a folder for temporary files");
        assert_eq!(read(&path), Some(data));
        let whole = fs::read(&path).expect("just written");
        let mut changed = whole.clone();
        changed[500] ^= 1;
        for bytes in [&changed, &whole[..600], &whole[..5], &[], &whole[1..]] {
            fs::write(&path, bytes).expect("a folder for temporary files");
            assert_eq!(read(&path), None);
        }
        let names = fs::read_dir(folder.join("below")).expect("the folder").count();
        assert_eq!(names, 1, "nothing stays beside it");
        fs::remove_dir_all(&folder).expect("ours");
    }
}
