//! What the user named, as one description.

mod container;

pub use container::{Target, belongs_to, find};
