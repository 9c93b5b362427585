//! Compiles the `.proto` files with protox, so that no `protoc` is needed, and lists the methods of all services.

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

const SERVICES: [&str; 2] = ["sweep/v1/sweep_service.proto", "sweep/v1/agent_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=sweep");
    let descriptors = protox::compile(SERVICES, ["."])?;
    let mut methods = String::from("&[\n");
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                writeln!(methods, "    \"/{}.{}/{}\",", file.package(), service.name(), method.name())?;
            }
        }
    }
    methods.push(']');
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("methods.rs"), methods)?;
    // The page speaks JSON: a field that is left out has its default, one that does not exist is a mistake.
    tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default, deny_unknown_fields)]")
        .enum_attribute(".", "#[serde(rename_all = \"snake_case\")]")
        .compile_fds(descriptors)?;
    Ok(())
}
