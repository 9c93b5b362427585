# Shortcuts; `just` lists them.

_default:
    @just --list

# Everything that CI checks
ci:
    .ci/run

# Format, lint, test
check:
    cargo fmt --all
    cargo clippy --all-targets -- -D warnings
    cargo clippy -p sweep-simulation --all-targets -- -D warnings
    cargo test
    cargo test -p sweep-simulation

# Many more seeds of the simulation than the tests try
simulate seeds="10000":
    SWEEP_SIM_SEEDS={{seeds}} cargo test --release -p sweep-simulation --test seeds -- everything

# How long things take (docs/explanation/benchmarks.md)
bench:
    cargo bench -p sweep-search --features bench --bench suggest --bench model
    cargo bench --bench controller

# Write the pages that are generated: command line, gRPC, the schema of sweep files
docs:
    cargo run -- schema > docs/sweep.schema.json
    UPDATE_DOCS=1 cargo test --test it docs::

# The documentation as a book in target/book, its links checked
book:
    .ci/book/build

# The quickstart
wine:
    cargo run --release -- run examples/wine/sweep.yaml

# The same budget at random, to compare
wine-random:
    cargo run --release -- run examples/wine/random.yaml

# What a release has for this machine, in target/release-files: source distribution, wheel, archive; installed and tried
wheel:
    .ci/wheel target/release-files

# Licences, sources, known holes; needs cargo-deny
deny:
    cargo deny check
