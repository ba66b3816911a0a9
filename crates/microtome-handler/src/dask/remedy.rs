//! What to do when a batch came back without its outcomes: a rule, without I/O.
//!
//! *Invariant:* faults that are not an item's own are tried again, a limited number of times, and what cannot be blamed on
//! one item is tried in halves, so that one bad item never costs its neighbours their results.

use crate::error::TaskErrorKind;

/// The fault of Dask's `KilledWorker`: too many workers died while they had the batch.
pub(super) const WORKERS_KILLED: &str = "workers-killed";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Send it again.
    Again,
    /// Send its halves.
    Halves,
    /// All its items have this error.
    GiveUp(TaskErrorKind),
}

/// The remedy for a fault of `kind` with a batch of so many items, sent `tries` times before, at most `retries` more.
pub(super) fn remedy(kind: &str, message: &str, items: u64, tries: u32, retries: u32) -> Remedy {
    let message = message.to_owned();
    let (again, error) = match kind {
        WORKERS_KILLED if items > 1 => return Remedy::Halves,
        WORKERS_KILLED => (true, TaskErrorKind::WorkersKilled { message }),
        "no-function" => (false, TaskErrorKind::NoSuchFunction { message }),
        "cancelled" => (false, TaskErrorKind::Cancelled),
        "exe-missing" => (false, TaskErrorKind::Executable { message }),
        "exe-start" | "exe-hello" => (true, TaskErrorKind::Executable { message }),
        "body" => (false, TaskErrorKind::Bridge { message }),
        _ => (true, TaskErrorKind::Bridge { message }),
    };
    if again && tries < retries { Remedy::Again } else { Remedy::GiveUp(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_workers_is_looked_for_in_halves() {
        assert_eq!(remedy("workers-killed", "", 8, 99, 2), Remedy::Halves);
        assert_eq!(remedy("workers-killed", "", 1, 1, 2), Remedy::Again);
        let error = TaskErrorKind::WorkersKilled { message: "4 died".into() };
        assert_eq!(remedy("workers-killed", "4 died", 1, 2, 2), Remedy::GiveUp(error));
    }

    #[test]
    fn what_will_not_pass_is_not_tried_again() {
        for kind in ["no-function", "cancelled", "exe-missing", "body"] {
            assert!(matches!(remedy(kind, "", 8, 0, 2), Remedy::GiveUp(_)), "{kind}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_but_not_forever() {
        for kind in ["exe-start", "exe-hello", "forgotten", "bridge", "something-new"] {
            assert_eq!(remedy(kind, "", 8, 1, 2), Remedy::Again, "{kind}");
            assert!(matches!(remedy(kind, "", 8, 2, 2), Remedy::GiveUp(_)), "{kind}");
        }
    }
}
