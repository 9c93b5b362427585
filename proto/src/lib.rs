//! The wire of `sweep`: the messages and services of package `sweep.v1`, generated from the `.proto` files beside this crate.

/// Package `sweep.v1`.
pub mod v1 {
    tonic::include_proto!("sweep.v1");
}
