//! What a sweep has shown.

mod best;

pub use best::best;
