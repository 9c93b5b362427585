//! What came of a sweep: Markdown that reads well in a pull request, a page that stands alone, and JSON.

mod content;
mod escape;
mod html;
mod json;
mod markdown;

pub(crate) use content::{Figure, Learnt, Reproduce};
pub(crate) use html::html;
pub(crate) use json::json;
pub(crate) use markdown::{account, markdown};
