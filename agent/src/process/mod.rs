//! Programs: started in their own session, watched, and ended with everything that they have
//! started.

mod cgroup;
pub(crate) mod exit;
pub(crate) mod fence;
pub(crate) mod identity;
pub(crate) mod launch;
pub(crate) mod memory;
pub(crate) mod open_files;
mod pump;
pub(crate) mod shim;
pub(crate) mod shims;
pub(crate) mod spawn;
pub(crate) mod tree;
pub(crate) mod usage;
