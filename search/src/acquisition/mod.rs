//! How much a point promises.

pub(crate) mod effort;
pub(crate) mod ensemble;
pub(crate) mod feasibility;
pub(crate) mod log_ei;
pub(crate) mod maximize;
