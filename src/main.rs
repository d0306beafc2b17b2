//! The `headgate` binary: arguments in, exit code out.

use std::process::ExitCode;

/// Policies and prices are many small allocations; the system's allocator gives less of them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    headgate::cli::run()
}
