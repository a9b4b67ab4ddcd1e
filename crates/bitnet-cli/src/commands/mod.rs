//! The subcommands, one file each: its options, what it does, what it writes.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod convert;
pub(crate) mod devices;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod perplexity;
mod quantization_page;
pub(crate) mod quantize;
mod tensor_file;
mod tensor_tree;
pub(crate) mod verify;
mod write_checkpoint;
