//! Reports the results of a sweep: Markdown for a pull request, a self-contained page, or JSON.

mod content;
mod escape;
mod html;
mod json;
mod markdown;

pub(crate) use content::{Figure, Learnt, Reproduce};
pub(crate) use html::html;
pub(crate) use json::json;
pub(crate) use markdown::{account, markdown};
