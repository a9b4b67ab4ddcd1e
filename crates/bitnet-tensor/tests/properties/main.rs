//! Properties over random operands, against models that go index by index.

mod indexing;
mod layouts;
mod model;
mod programs;
mod promotion;
