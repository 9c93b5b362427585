//! Texts that programs print when something other than themselves is the cause.

/// A text that says why a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) text: &'static str,
    /// The kind of the failure; empty: as the exit status has it.
    pub(super) kind: &'static str,
    pub(super) blame: &'static str,
}

const fn sign(text: &'static str, kind: &'static str, blame: &'static str) -> Sign {
    Sign { text, kind, blame }
}

const CONFIGURATION: &str = "configuration";
const MACHINE: &str = "machine";

/// The first that a line holds counts.
const SIGNS: [Sign; 33] = [
    sign("CUDA out of memory", "cuda_out_of_memory", CONFIGURATION),
    sign(
        "torch.cuda.OutOfMemoryError",
        "cuda_out_of_memory",
        CONFIGURATION,
    ),
    sign(
        "torch.OutOfMemoryError",
        "cuda_out_of_memory",
        CONFIGURATION,
    ),
    sign(
        "CUDA_ERROR_OUT_OF_MEMORY",
        "cuda_out_of_memory",
        CONFIGURATION,
    ),
    sign(
        "cudaErrorMemoryAllocation",
        "cuda_out_of_memory",
        CONFIGURATION,
    ),
    sign(
        "cupy.cuda.memory.OutOfMemoryError",
        "cuda_out_of_memory",
        CONFIGURATION,
    ),
    sign(
        "OOM when allocating tensor",
        "cuda_out_of_memory",
        CONFIGURATION,
    ),
    sign(
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate",
        "cuda_out_of_memory",
        CONFIGURATION,
    ),
    sign("NCCL error", "nccl", MACHINE),
    sign("ncclSystemError", "nccl", MACHINE),
    sign("ncclInternalError", "nccl", MACHINE),
    sign("ncclRemoteError", "nccl", MACHINE),
    sign("ncclUnhandledCudaError", "nccl", MACHINE),
    sign(
        "Watchdog caught collective operation timeout",
        "nccl",
        MACHINE,
    ),
    sign("MemoryError", "out_of_memory", CONFIGURATION),
    sign("std::bad_alloc", "out_of_memory", CONFIGURATION),
    sign("Cannot allocate memory", "out_of_memory", CONFIGURATION),
    sign("can't allocate memory", "out_of_memory", CONFIGURATION),
    sign("No space left on device", "", MACHINE),
    sign("Disk quota exceeded", "", MACHINE),
    sign("Read-only file system", "", MACHINE),
    sign("Stale file handle", "", MACHINE),
    sign("Input/output error", "", MACHINE),
    sign("Transport endpoint is not connected", "", MACHINE),
    sign(
        "CUDA-capable device(s) is/are busy or unavailable",
        "",
        MACHINE,
    ),
    sign("no CUDA-capable device is detected", "", MACHINE),
    sign("No CUDA GPUs are available", "", MACHINE),
    sign("CUDA driver version is insufficient", "", MACHINE),
    sign("uncorrectable ECC error", "", MACHINE),
    sign("GPU is lost", "", MACHINE),
    sign("fallen off the bus", "", MACHINE),
    sign("NVIDIA-SMI has failed", "", MACHINE),
    sign(
        "CUDA unknown error - this may be due to an incorrectly set up environment",
        "",
        MACHINE,
    ),
];

/// Texts that programs print when a signal ends them, one of their processes, or a process that
/// they talk to.
const SIGNALS: [&str; 11] = [
    "KeyboardInterrupt",
    "SystemExit",
    "SignalException",
    "SIGTERM",
    "SIGINT",
    "got signal: ",
    "killed by signal: ",
    "Received signal: ",
    "exited unexpectedly",
    "Connection closed by peer",
    "Connection reset by peer",
];
/// How torchrun says that it ends the other processes of one that crashed.
const CLOSING: &str = "closing signal";

/// Returns whether a line says that a signal ended something.
pub(super) fn names_signal(line: &str) -> bool {
    !line.contains(CLOSING) && SIGNALS.iter().any(|text| line.contains(text))
}

/// Returns what a line says of the cause, if anything.
pub(super) fn of(line: &str) -> Option<Sign> {
    let found = SIGNS
        .iter()
        .copied()
        .find(|sign| line.contains(sign.text))?;
    // PyTorch says so of processes other than the one that asks for memory: another program has
    // filled the GPU.
    let others = found.kind == "cuda_out_of_memory"
        && line.contains("Process ")
        && line.contains(" memory in use");
    // A program that asks of NCCL what cannot be, two ranks on one GPU for instance, asks the same
    // everywhere.
    let misused = found.kind == "nccl"
        && ["invalid usage", "invalid argument"]
            .iter()
            .any(|words| line.contains(words));
    Some(match (others, misused) {
        (true, _) => Sign {
            blame: MACHINE,
            ..found
        },
        (_, true) => Sign {
            blame: CONFIGURATION,
            ..found
        },
        _ => found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_real_programs_say_whom_to_blame() {
        let judged = |line: &str| of(line).map(|sign| (sign.kind, sign.blame));
        for (line, expected) in [
            (
                "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB",
                ("cuda_out_of_memory", CONFIGURATION),
            ),
            (
                "CUDA out of memory. Tried to allocate 20.00 MiB. Process 4711 has 77.10 GiB memory in use. Of the allocated memory",
                ("cuda_out_of_memory", MACHINE),
            ),
            (
                "RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:825, unhandled system error",
                ("nccl", MACHINE),
            ),
            (
                "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.cpp:93, invalid usage (run with NCCL_DEBUG=WARN for details)",
                ("nccl", CONFIGURATION),
            ),
            (
                "cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 8,589,934,592 bytes",
                ("cuda_out_of_memory", CONFIGURATION),
            ),
            (
                "ResourceExhaustedError: OOM when allocating tensor with shape[65536,65536]",
                ("cuda_out_of_memory", CONFIGURATION),
            ),
            (
                "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12)",
                ("nccl", MACHINE),
            ),
            (
                "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 74.5 GiB",
                ("out_of_memory", CONFIGURATION),
            ),
            (
                "terminate called after throwing an instance of 'std::bad_alloc'",
                ("out_of_memory", CONFIGURATION),
            ),
            (
                "OSError: [Errno 28] No space left on device: '/data/x'",
                ("", MACHINE),
            ),
            ("OSError: [Errno 5] Input/output error", ("", MACHINE)),
            ("RuntimeError: No CUDA GPUs are available", ("", MACHINE)),
        ] {
            assert_eq!(judged(line), Some(expected), "{line}");
        }
        for line in [
            "ValueError: lr is too large",
            "loss: 0.25",
            "RuntimeError: CUDA error: device-side assert triggered",
            "",
        ] {
            assert_eq!(judged(line), None, "{line}");
        }
    }
}
