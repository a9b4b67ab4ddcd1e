//! Ternary weights in the layouts of files, and quantization to them.
//!
//! Products are those of [`tiled`](crate::tiled) matrices.

mod blocks;
mod codes;
mod huggingface;
mod i2_s;
pub mod quantize;
mod words;

pub use blocks::{pack_blocks, unpack_block_row};
pub use codes::are_codes_ternary;
pub use huggingface::{pack_huggingface, unpack_huggingface_row};
pub use i2_s::{I2sBlock, i2_s_block_evidence, i2_s_scale, pack_i2_s, unpack_i2_s_row};
pub use words::{pack_words, unpack_words_row, words_byte_len, words_per_row};
