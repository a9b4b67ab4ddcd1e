//! Conversions, views, and elements brought to other places.
//!
//! A view shares the storage of its operand, a copy has its own (`tests/views.rs` counts them):
//!
//! | operations | the result |
//! |---|---|
//! | `permute` `transpose` `movedim` `movedims` `expand` `slice` `narrow` `split` `chunk` `windows` `unfold` `diagonal` `flip` `squeeze` `unsqueeze` `meshgrid` `bitcast`; `index` by numbers, ranges and new axes | a view |
//! | `reshape` `view_as` `flatten` `squeeze_all` | a view where strides can say the shape, else a copy |
//! | `contiguous` `to_dtype` `to_device` | the tensor itself when nothing changes, else a copy |
//! | `copy` `cat` `stack` `roll` `tile` `repeat_interleave` `pad` `tril` `triu` `index_select` `gather` `take_along_axis` `gather_nd` `masked_select` `nonzero` `scatter` `scatter_add` `scatter_reduce` `scatter_nd` `with_slice` `with_index`; `index` by tensors | a copy |
//! | `set_index` `write_rows` | written into the tensor's own storage; `set_index` into a copy when it is shared, `write_rows` refuses |

mod arrange;
mod assign;
mod bitcast;
mod cat;
mod convert;
mod gather;
mod index;
mod rows;
mod select;
mod view;

pub use arrange::PadMode;
pub use assign::{AxisSlice, SliceScatter};
pub use bitcast::Bitcast;
pub use cat::Cat;
pub use convert::{Cast, Copy};
pub use gather::{Gather, Scatter, ScatterKind};
pub use index::{Ellipsis, Index, NewAxis, Slice};
pub use rows::WriteRows;
pub use select::IndexSelect;
pub use view::View;
