//! The parameters that may be varied and how.

mod axis;
mod condition;
mod config;
mod distribution;
pub(crate) mod enumeration;
#[cfg(test)]
pub(crate) mod fixture;
mod parameter;
mod path;
mod read;
pub mod revision;
pub mod unit_cube;
mod value;

pub use condition::Condition;
pub use config::{Config, PointKey, Taken};
pub use distribution::{Distribution, Step};
pub use parameter::{Parameter, Space, SpaceError};
pub use path::Path;
pub use revision::{ConfigLocation, Origins};
pub use value::Value;
