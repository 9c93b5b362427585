//! Compiles the `.proto` files with protox, so that no `protoc` is needed, and lists the methods of all services.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::{self, Write};
use std::path::PathBuf;

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};

const SERVICES: [&str; 2] = [
    "sweep/v1/sweep_service.proto",
    "sweep/v1/agent_service.proto",
];

/// Returns one line for each method, message, field, enum and value: what it is called, ` = `, and what must not change about it.
fn summary(descriptors: &FileDescriptorSet) -> Result<String, fmt::Error> {
    let mut lines = BTreeSet::new();
    for file in &descriptors.file {
        let package = file.package();
        for service in &file.service {
            for method in &service.method {
                lines.insert(method_line(package, service, method));
            }
        }
        let mut enums: Vec<_> = file
            .enum_type
            .iter()
            .map(|found| (package.to_owned(), found))
            .collect();
        let mut messages: Vec<_> = file
            .message_type
            .iter()
            .map(|found| (package.to_owned(), found))
            .collect();
        while let Some((outer, message)) = messages.pop() {
            let name = format!("{outer}.{}", message.name());
            lines.insert(format!("message {name} = message"));
            for field in &message.field {
                lines.insert(field_line(&name, message, field));
            }
            enums.extend(message.enum_type.iter().map(|inner| (name.clone(), inner)));
            messages.extend(
                message
                    .nested_type
                    .iter()
                    .map(|inner| (name.clone(), inner)),
            );
        }
        for (outer, found) in enums {
            let name = format!("{outer}.{}", found.name());
            lines.insert(format!("enum {name} = enum"));
            lines.extend(
                found
                    .value
                    .iter()
                    .map(|value| format!("value {name} {:03} = {}", value.number(), value.name())),
            );
        }
    }
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

fn method_line(
    package: &str,
    service: &ServiceDescriptorProto,
    method: &MethodDescriptorProto,
) -> String {
    let stream = |is_stream| if is_stream { "stream " } else { "" };
    format!(
        "rpc {package}.{}/{} = {}{} -> {}{}",
        service.name(),
        method.name(),
        stream(method.client_streaming()),
        method.input_type(),
        stream(method.server_streaming()),
        method.output_type()
    )
}

fn field_line(name: &str, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let kind = if field.type_name().is_empty() {
        field.r#type().as_str_name()
    } else {
        field.type_name()
    };
    let label = if field.proto3_optional() {
        "LABEL_PRESENCE"
    } else {
        field.label().as_str_name()
    };
    let oneof = field
        .oneof_index
        .filter(|_| !field.proto3_optional())
        .and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
    let oneof = oneof
        .map(|oneof| format!(" in {}", oneof.name()))
        .unwrap_or_default();
    format!(
        "field {name} {:03} = {} {kind} {label}{oneof}",
        field.number(),
        field.name()
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=sweep");
    let descriptors = protox::compile(SERVICES, ["."])?;
    let mut methods = String::from("&[\n");
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                writeln!(
                    methods,
                    "    \"/{}.{}/{}\",",
                    file.package(),
                    service.name(),
                    method.name()
                )?;
            }
        }
    }
    methods.push(']');
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("methods.rs"), methods)?;
    std::fs::write(out.join("protocol.txt"), summary(&descriptors)?)?;
    // The page speaks JSON: a field that is left out has its default, one that does not exist is a mistake.
    tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default, deny_unknown_fields)]")
        .enum_attribute(".", "#[serde(rename_all = \"snake_case\")]")
        .compile_fds(descriptors)?;
    Ok(())
}
