//! `headgate policy`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::policy::harness;

use super::Failure;

#[derive(Subcommand)]
pub(super) enum Policy {
    Test(Test),
}

/// Run the cases of every *_test.lua against the script it names.
///
/// `admission_test.lua` tests `admission.lua` beside it, under the same limits as in service. Exit code 0: all cases
/// hold; 1: at least one does not.
#[derive(Args)]
pub(super) struct Test {
    /// Folder with the scripts
    #[arg(default_value = "policies")]
    dir: PathBuf,
}

impl Policy {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Policy::Test(test) = self;
        let report = harness::run_tests(&test.dir)?;
        println!("{report}");
        Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
