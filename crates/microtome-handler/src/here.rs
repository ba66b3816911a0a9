//! What a process on a worker knows of its worker.
//!
//! *Invariant:* the runtime of the worker says it when it starts the process; nothing here asks Dask.

/// The Dask worker that started this process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerHere {
    /// Its address.
    pub address: String,
    /// Its threads: as many processes like this one may run at a time.
    pub threads: usize,
    /// Bytes that it may use in all, if it has a limit. Dask counts those of its own process alone, not of this one.
    pub memory: Option<u64>,
}

/// The Dask worker that started this process; `None` where no worker did.
///
/// # Examples
/// ```
/// // What a function on a worker may use, where up to `threads` of its kind run at a time.
/// let share = microtome_handler::this_worker().and_then(|worker| Some(worker.memory? / worker.threads as u64));
/// assert_eq!(share, None); // this is no worker
/// ```
pub fn this_worker() -> Option<WorkerHere> {
    told(|name| std::env::var(name).ok())
}

fn told(value: impl Fn(&str) -> Option<String>) -> Option<WorkerHere> {
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
    let threads = number("MICROTOME_WORKER_THREADS").unwrap_or(1).max(1) as usize;
    Some(WorkerHere { address: value("MICROTOME_WORKER_ADDRESS")?, threads, memory: number("MICROTOME_WORKER_MEMORY") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_not_known() {
        let of = |all: &[(&str, &str)]| {
            told(|name| {
                let found = all.iter().find(|(known, _)| name.strip_prefix("MICROTOME_WORKER_") == Some(*known));
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let here = of(&[("ADDRESS", "tcp://a:1"), ("THREADS", "2"), ("MEMORY", "4000")]).unwrap();
        assert_eq!((here.address.as_str(), here.threads, here.memory), ("tcp://a:1", 2, Some(4000)));
        let here = of(&[("ADDRESS", "tcp://a:1"), ("MEMORY", "much")]).unwrap();
        assert_eq!((here.threads, here.memory), (1, None));
        assert_eq!(of(&[("THREADS", "2")]), None);
    }
}
