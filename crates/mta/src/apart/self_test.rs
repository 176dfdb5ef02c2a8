//! `smtpd --deliveries-apart INSTANCE --try-privileges FOLDER`: the process apart, confined, tries what it must not be able to do;
//! then a program that it runs for a user does, which is this program once more. As the daemons' `--try-privileges`
//! ([`dispatcher::try_out`]), with `program: ` before the lines of the second.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use dispatcher::try_out;
use os::run::End;
use server_config::Instance;

use super::{ARGUMENT, TRY_AS_PROGRAM};
use crate::local_settings::LocalSettings;
use crate::stages::prog_deliver::{Run, prepared};

/// What any program does.
const OF_A_PROGRAM: [&str; 8] = [
    "read a foreign file", // that its user may read
    "list a foreign folder",
    "write a foreign file",
    "make a file elsewhere",
    "run a program",
    "listen on a port",
    "connect to a foreign port",
    "start a process",
];
/// What root does beside: it ends what it has run as another user.
const OF_ROOT: [&str; 2] = ["signal a process", "become root"];
/// Its lines are more than a program's output in a report.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// One try waits for a connection to this host.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Tries everything; the exit status is 0 when all was refused, to both.
pub fn main(
    instance: &Instance,
    settings: Result<LocalSettings, String>,
    confined: Result<String, String>,
    outside: &Path,
) -> ExitCode {
    let mut out = std::io::stdout();
    let told = match confined.and_then(|said| Ok((said, settings?))) {
        Ok((said, settings)) => {
            let _ = writeln!(out, "{said}");
            let mut business = OF_A_PROGRAM.to_vec();
            if os::process::own_uid() == 0 {
                business.extend(OF_ROOT);
            }
            let refused = try_out::all(outside, &business, "", &mut out);
            run_program(instance, &settings, outside, &mut out).map(|as_well| refused && as_well)
        }
        Err(why) => Err(why),
    };
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "smtpd: {}", base::escape(&why));
            ExitCode::FAILURE
        }
    }
}

/// Runs this program as a user's, and says whether all was refused to it.
fn run_program(
    instance: &Instance,
    settings: &LocalSettings,
    outside: &Path,
    out: &mut impl Write,
) -> Result<bool, String> {
    let words = [Path::new(ARGUMENT), instance.root(), Path::new(TRY_AS_PROGRAM), outside];
    let arguments: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let run = Run {
        // By this name the folders above it need not be open to the user.
        path: &PathBuf::from("/proc/self/exe"),
        arguments: &arguments,
        environment: &[],
        identity: settings.programs.identity,
        timeout: TIMEOUT,
    };
    let mut program =
        prepared(&run).map_err(|refused| refused.complaint.unwrap_or_else(|| "not run as root".into()))?;
    program.output_bytes_max = OUTPUT_BYTES_MAX;
    let ran = os::run::run(&program, &mut &b""[..], &|| true).map_err(|why| format!("a program: {why}"))?;
    let _ = out.write_all(&ran.output);
    match ran.end {
        End::Exit(status) if matches!(status.code(), Some(0 | 1)) => Ok(status.success()),
        other => Err(format!("the program ended otherwise: {other:?}")),
    }
}

/// In that program.
pub fn as_program(outside: &Path) -> ExitCode {
    match try_out::all(outside, &OF_A_PROGRAM, "program: ", &mut std::io::stdout()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
