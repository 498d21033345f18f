//! The configuration: what the user said, with every default filled in. No I/O beyond reading a file.

mod limits;
pub mod quantity;

pub use limits::Limits;
