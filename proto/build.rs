//! Compiles the `.proto` files with protox, so that no `protoc` is needed.

use std::error::Error;

const SERVICES: [&str; 2] = ["sweep/v1/sweep_service.proto", "sweep/v1/agent_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=sweep");
    let descriptors = protox::compile(SERVICES, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
