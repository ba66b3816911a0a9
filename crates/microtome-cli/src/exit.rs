//! Exit codes: what a script can tell from them, decided in one place from the error's type.

use microtome::{ConnectError, FaultKind, GraphError, OpError, ReadError, RunError, WriteError};

use crate::error::CliError;

/// A bug of ours.
pub(crate) const BUG: u8 = 1;
/// Arguments that cannot be meant.
pub(crate) const USAGE: u8 = 2;
/// Done, but for planes that could not be read.
pub(crate) const QUARANTINED: u8 = 3;
/// An input that is unreadable, unsupported or over a limit.
pub(crate) const INPUT: u8 = 4;
/// An output that cannot be written.
pub(crate) const OUTPUT: u8 = 5;
/// A plan that was refused.
pub(crate) const REFUSED: u8 = 6;
/// An input that changed while it was read.
pub(crate) const CHANGED: u8 = 7;
/// A cluster that is unreachable, lost, or not fit for work.
pub(crate) const CLUSTER: u8 = 8;
/// A verification that found a difference.
pub(crate) const DIFFERENT: u8 = 9;
/// Stopped on request.
pub(crate) const STOPPED: u8 = 130;

/// The exit code of an error.
pub(crate) fn code(error: &CliError) -> u8 {
    match error {
        CliError::Usage { .. } | CliError::Array(_) | CliError::Scene(_) | CliError::Naming(_) | CliError::Plate(_) => {
            USAGE
        }
        CliError::Read(error) => read(error),
        CliError::Graph(error) => graph(error),
        CliError::Write(error) => write(error),
        CliError::Run(error) => run(error),
        CliError::Connect(error) => connect(error),
        CliError::Unfit { .. } | CliError::ClusterLost { .. } => CLUSTER,
        CliError::Signal { signal } | CliError::Stopped { signal, .. } => of_signal(*signal),
        CliError::Inputs { .. } => INPUT,
        CliError::Different { .. } => DIFFERENT,
        CliError::Quarantined { .. } => QUARANTINED,
        CliError::File { .. } | CliError::Stdout(_) => OUTPUT,
    }
}

fn read(error: &ReadError) -> u8 {
    match error {
        ReadError::Changed { .. } => CHANGED,
        // Scene and level were asked for on the command line.
        ReadError::NoSuchPlace { .. } => USAGE,
        _ => INPUT,
    }
}

fn write(error: &WriteError) -> u8 {
    match error {
        // Chunks, shards, compression and pixel type were asked for on the command line.
        WriteError::Unsupported { .. } => USAGE,
        WriteError::Array { .. } => BUG,
        _ => OUTPUT,
    }
}

fn graph(error: &GraphError) -> u8 {
    match error {
        GraphError::Read(error) => read(error),
        GraphError::Op(error) => op(error),
        GraphError::Array(_) => USAGE,
        _ => REFUSED,
    }
}

fn run(error: &RunError) -> u8 {
    match error {
        RunError::Read(error) => read(error),
        RunError::Write(error) => write(error),
        RunError::Graph(error) => graph(error),
        RunError::Op { source, .. } => op(source),
        RunError::Threads { .. } => USAGE,
        RunError::TooManyBad { .. } | RunError::BadInput { .. } | RunError::Unmeasured { .. } => INPUT,
        RunError::Cancelled { .. } => STOPPED,
        RunError::Kept { error, .. } => run(error),
        RunError::Elsewhere { kind, .. } => elsewhere(*kind),
        RunError::ClusterLost { .. } => CLUSTER,
        RunError::Differs { .. } => DIFFERENT,
        _ => BUG,
    }
}

fn elsewhere(kind: FaultKind) -> u8 {
    match kind {
        FaultKind::Input => INPUT,
        FaultKind::Output => OUTPUT,
        FaultKind::Refused => REFUSED,
        FaultKind::Usage => USAGE,
        FaultKind::Bug => BUG,
    }
}

fn connect(error: &ConnectError) -> u8 {
    match error {
        // The address and how far it is trusted were said on the command line.
        ConnectError::Address { .. } | ConnectError::Insecure { .. } => USAGE,
        _ => CLUSTER,
    }
}

/// The exit code of a program that a signal stopped, as shells have it: 130 for an interrupt, 143 for a request to end.
pub(crate) fn of_signal(signal: i32) -> u8 {
    u8::try_from(signal).map_or(BUG, |signal| signal.saturating_add(128))
}

fn op(error: &OpError) -> u8 {
    match error {
        // The pixels are what they are: an input over a limit.
        OpError::Overflow { .. } => INPUT,
        OpError::Array(_) => BUG,
        _ => USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome::{ArrayError, Axis, PixelType};

    fn missing() -> ReadError {
        ReadError::NotFound { path: "a.tif".into() }
    }

    #[test]
    fn an_error_has_one_code_however_deep_it_lies() {
        assert_eq!(code(&missing().into()), INPUT);
        assert_eq!(code(&GraphError::Read(missing()).into()), INPUT);
        assert_eq!(code(&RunError::Graph(GraphError::Read(missing())).into()), INPUT);
    }

    #[test]
    fn the_contract() {
        let changed = ReadError::Changed { path: "a.tif".into(), why: "its size".to_owned() };
        let memory =
            GraphError::Memory { what: "a group".to_owned(), needed: 2, budget: 1, smallest: "1MiB".to_owned() };
        let overflow = OpError::Overflow { op: "project", dtype: PixelType::U64 };
        let exists = WriteError::Exists { path: "a.ome.zarr".into() };
        let panic = RunError::Panic { task: "read/0.0.0.0.0".to_owned(), message: "index".to_owned() };
        assert_eq!(code(&CliError::usage("what?")), 2);
        assert_eq!(code(&ArrayError::EmptyChunk { axis: Axis::Y }.into()), 2);
        assert_eq!(code(&RunError::Op { task: String::new(), source: overflow }.into()), 4);
        assert_eq!(code(&exists.into()), 5);
        assert_eq!(code(&RunError::Graph(memory).into()), 6);
        assert_eq!(code(&RunError::Read(changed).into()), 7);
        assert_eq!(code(&panic.into()), 1);
        assert_eq!(code(&RunError::Cancelled { done: 1, total: 2 }.into()), 130);
        let kept = |error| RunError::Kept { error: Box::new(error), kept: 1, total: 2 };
        assert_eq!(code(&kept(RunError::Cancelled { done: 1, total: 2 }).into()), 130);
        assert_eq!(code(&kept(WriteError::Exists { path: "a.ome.zarr".into() }.into()).into()), 5);
        assert_eq!([2, 15].map(|signal| code(&CliError::Signal { signal })), [130, 143]);
    }

    #[test]
    fn what_was_said_wrong_about_a_cluster_is_usage_and_what_is_wrong_with_it_is_not() {
        let address = || "tcp://10.0.0.1:8786".to_owned();
        let why = || "Connection refused".to_owned();
        assert_eq!(code(&ConnectError::Insecure { address: address() }.into()), 2);
        assert_eq!(code(&ConnectError::Address { address: address(), why: why() }.into()), 2);
        assert_eq!(code(&ConnectError::SchedulerFile { path: "s.json".into(), why: why() }.into()), 8);
        assert_eq!(code(&ConnectError::Unreachable { address: address(), why: why() }.into()), 8);
        assert_eq!(code(&ConnectError::NoPython { tried: vec![] }.into()), 8);
        assert_eq!(code(&CliError::Unfit { address: address(), why: why() }), 8);
        assert_eq!(code(&CliError::ClusterLost { address: address(), why: why() }), 8);
    }
}
