//! What a cluster is worth: a judgement on what it said and what was measured, and what to do about each fault.
//!
//! *Invariant:* nobody is asked here.

use std::collections::BTreeSet;

use microtome::handler::{Cluster, Versions, WorkerFacts};

use super::deep::Deep;
use super::probe::{Measured, Program, Speed};

/// A cluster as it was found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) address: String,
    pub(crate) dashboard: Option<String>,
    pub(crate) versions: Versions,
    pub(crate) workers: Vec<WorkerReport>,
    pub(crate) items_per_second: Option<f64>,
    pub(crate) faults: Vec<Fault>,
    /// What is no fault and good to know.
    pub(crate) notes: Vec<String>,
    /// What a deep check found, if it was one.
    pub(crate) deep: Option<Deep>,
}

/// A worker as it was found.
#[derive(Debug)]
pub(crate) struct WorkerReport {
    pub(crate) address: String,
    pub(crate) facts: WorkerFacts,
    /// Seconds.
    pub(crate) round_trip: Option<f64>,
    pub(crate) bytes_per_second: Option<f64>,
    pub(crate) fault: Option<Fault>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The worker it is wrong with; `None`: the cluster.
    pub(crate) worker: Option<String>,
    /// In a word or two.
    pub(crate) word: String,
    pub(crate) what: String,
    pub(crate) todo: String,
}

impl Report {
    /// Judges; `here` is the program on this side.
    pub(super) fn new(cluster: &Cluster, measured: &Measured, here: &Program) -> Report {
        let scheduler = &cluster.versions.scheduler;
        let judge = |(address, facts): (&String, &WorkerFacts)| {
            let speed = measured.workers.get(address);
            let known = speed.and_then(|speed| speed.as_ref().ok());
            WorkerReport {
                address: address.clone(),
                facts: facts.clone(),
                round_trip: known.map(|speed| speed.round_trip),
                bytes_per_second: known.map(|speed| speed.bytes_per_second),
                fault: fault(facts, speed, scheduler, here).map(|fault| fault.of(address)),
            }
        };
        let workers: Vec<WorkerReport> = cluster.workers.iter().map(judge).collect();
        let mut faults: Vec<Fault> = workers.iter().filter_map(|worker| worker.fault.clone()).collect();
        if workers.is_empty() {
            let todo = format!("start some: dask worker {}", cluster.address);
            faults.push(Fault::new("no worker", "it has no worker", &todo));
        }
        if let Some(Err(why)) = &measured.items_per_second {
            faults.push(Fault::new("slow", why, "check again when the cluster is less busy"));
        }
        Report {
            address: cluster.address.clone(),
            dashboard: Some(cluster.dashboard.clone()).filter(|link| !link.is_empty()),
            versions: cluster.versions.clone(),
            items_per_second: measured.items_per_second.as_ref().and_then(|items| items.as_ref().ok()).copied(),
            notes: notes(&cluster.versions, &workers, measured, here),
            workers,
            faults,
            deep: None,
        }
    }

    /// Addresses of the workers that are well so far, and their threads.
    pub(super) fn sound(&self) -> (Vec<String>, usize) {
        let sound: Vec<&WorkerReport> = self.workers.iter().filter(|worker| worker.fault.is_none()).collect();
        let threads = sound.iter().map(|worker| worker.facts.threads).sum();
        (sound.into_iter().map(|worker| worker.address.clone()).collect(), threads)
    }

    /// The same with what a deep check found: its faults are those of the workers.
    pub(super) fn with(mut self, deep: Deep) -> Report {
        for fault in &deep.faults {
            let worker = self.workers.iter_mut().find(|worker| Some(&worker.address) == fault.worker.as_ref());
            if let Some(worker) = worker.filter(|worker| worker.fault.is_none()) {
                worker.fault = Some(fault.clone());
            }
        }
        self.faults.extend(deep.faults.iter().cloned());
        self.deep = Some(deep);
        self
    }

    /// Why it is not fit for work, if so.
    pub(crate) fn verdict(&self) -> Option<String> {
        let (all, faulty) = (self.workers.len(), self.workers.iter().filter(|worker| worker.fault.is_some()).count());
        match (self.faults.as_slice(), faulty) {
            ([], _) => None,
            ([fault, ..], 0) => Some(fault.what.clone()),
            (_, 1) if all == 1 => Some("its worker is faulty".to_owned()),
            (_, 1) => Some(format!("1 of {all} workers is faulty")),
            _ => Some(format!("{faulty} of {all} workers are faulty")),
        }
    }
}

impl Fault {
    pub(super) fn new(word: &str, what: &str, todo: &str) -> Fault {
        Fault { worker: None, word: word.to_owned(), what: what.to_owned(), todo: todo.to_owned() }
    }

    pub(super) fn of(self, worker: &str) -> Fault {
        Fault { worker: Some(worker.to_owned()), ..self }
    }
}

/// What is wrong with a worker, if anything.
fn fault(facts: &WorkerFacts, speed: Option<&Result<Speed, String>>, scheduler: &str, here: &Program) -> Option<Fault> {
    if let Some(said) = &facts.fault {
        return Some(said_of_itself(said));
    }
    if let Some(Err(why)) = speed {
        return Some(silent_or_failed(why));
    }
    if facts.distributed != *scheduler {
        let what = format!("it has distributed {}, the scheduler has {scheduler}", facts.distributed);
        let todo = format!("`python -m pip install distributed=={scheduler}` on {}, and restart it", facts.host);
        return Some(Fault::new(&format!("distributed {}", facts.distributed), &what, &todo));
    }
    let version = facts.version.as_deref().unwrap_or("unknown");
    if version != here.version {
        let what = format!("it runs microtome {version}, here is {}", here.version);
        let todo = format!("put this microtome where {} has the other", facts.host);
        return Some(Fault::new(&format!("microtome {version}"), &what, &todo));
    }
    None
}

/// What a worker says that is wrong with itself: `MT-CODE message`, or that it said nothing.
fn said_of_itself(said: &str) -> Fault {
    let (code, message) = said.find("MT-EXE-").map_or(("", said), |at| {
        said[at..].split_once(' ').map_or((&said[at..], ""), |(code, message)| (code, message))
    });
    match code {
        "MT-EXE-MISSING" => {
            let todo =
                "put it on a path that all machines share, or in the folder that MICROTOME_WORKER_DIR names there";
            Fault::new("lacks program", &format!("it lacks this program: {message}"), todo)
        }
        "MT-EXE-START" | "MT-EXE-HELLO" => {
            let (what, todo) = message.rsplit_once("; ").unwrap_or((message, "use a build for that machine"));
            Fault::new("program fails", what, todo)
        }
        _ => silent_or_failed(said),
    }
}

fn silent_or_failed(why: &str) -> Fault {
    if why.contains("answer within") {
        return Fault::new("no answer", why, "restart it, or check again when it is less busy");
    }
    Fault::new("failed", why, "its log says more; restart it")
}

fn notes(versions: &Versions, workers: &[WorkerReport], measured: &Measured, here: &Program) -> Vec<String> {
    let mut notes = Vec::new();
    let Versions { client, scheduler, python } = versions;
    if client != scheduler {
        let todo = format!("`python -m pip install distributed=={scheduler}` here makes sure");
        notes.push(format!("distributed is {client} here and {scheduler} at the scheduler; it worked, {todo}"));
    }
    let others: BTreeSet<&str> = workers.iter().map(|worker| minor(&worker.facts.python)).collect();
    let others: Vec<&str> = others.into_iter().filter(|other| !other.is_empty() && *other != minor(python)).collect();
    if !others.is_empty() {
        let (here, there) = (minor(python), others.join(" and "));
        notes.push(format!("Python is {here} here and {there} on workers, which is no harm to microtome"));
    }
    let known: Vec<&Speed> = measured.workers.values().filter_map(|speed| speed.as_ref().ok()).collect();
    let sent = known.iter().filter(|speed| speed.program.path != here.path).count();
    if sent > 0 {
        let (all, path) = (known.len(), &here.path);
        notes.push(format!("this program was sent to {sent} of {all} workers, which do not have it as {path}"));
    }
    notes
}

/// `3.11` of `3.11.7`.
fn minor(version: &str) -> &str {
    let mut dots = version.match_indices('.').map(|(at, _)| at);
    dots.nth(1).map_or(version, |at| &version[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "2026.8.0";

    fn here() -> Program {
        Program { path: "/shared/microtome".to_owned(), version: "0.1.0".to_owned() }
    }

    fn facts() -> WorkerFacts {
        let mut facts = WorkerFacts::default();
        facts.host = "node7".to_owned();
        facts.threads = 2;
        facts.distributed = VERSION.to_owned();
        facts.python = "3.11.7".to_owned();
        facts.version = Some("0.1.0".to_owned());
        facts
    }

    fn speed() -> Speed {
        Speed { program: here(), round_trip: 0.006, bytes_per_second: 2e8 }
    }

    /// A cluster of these, each with what was measured.
    fn report(workers: Vec<(WorkerFacts, Result<Speed, String>)>) -> Report {
        let mut cluster = Cluster::default();
        cluster.address = "tcp://a:1".to_owned();
        let version = || VERSION.to_owned();
        cluster.versions = Versions { client: version(), scheduler: version(), python: "3.11.7".to_owned() };
        let mut measured = Measured::default();
        for (n, (facts, speed)) in workers.into_iter().enumerate() {
            let address = format!("tcp://w:{n}");
            if facts.fault.is_none() {
                measured.workers.insert(address.clone(), speed);
            }
            cluster.workers.insert(address, facts);
        }
        Report::new(&cluster, &measured, &here())
    }

    fn saying(fault: &str) -> WorkerFacts {
        let mut facts = facts();
        facts.fault = Some(fault.to_owned());
        facts
    }

    #[test]
    fn a_cluster_that_is_well_has_no_verdict() {
        let report = report(vec![(facts(), Ok(speed())), (facts(), Ok(speed()))]);
        assert_eq!((report.verdict(), report.faults.len(), report.notes.len()), (None, 0, 0));
        assert_eq!((report.workers[1].round_trip, report.workers[1].bytes_per_second), (Some(0.006), Some(2e8)));
    }

    #[test]
    fn a_cluster_without_workers_is_not_well() {
        let report = report(vec![]);
        assert_eq!(report.verdict().as_deref(), Some("it has no worker"));
        assert!(report.faults[0].todo.contains("dask worker tcp://a:1"), "{:?}", report.faults);
    }

    #[test]
    fn a_worker_that_does_not_answer_is_to_be_restarted() {
        let report = report(vec![
            (saying("it did not answer within 5.0 s: busy?"), Ok(speed())),
            (facts(), Err("no answer within 10 s: busy, or out of reach?".to_owned())),
            (facts(), Ok(speed())),
        ]);
        assert_eq!(report.verdict().as_deref(), Some("2 of 3 workers are faulty"));
        for fault in &report.faults {
            assert_eq!((fault.word.as_str(), &fault.todo[..10]), ("no answer", "restart it"));
        }
        assert_eq!(report.faults[0].worker.as_deref(), Some("tcp://w:0"));
    }

    #[test]
    fn a_program_that_is_missing_or_does_not_run_says_what_to_do() {
        let missing = "RuntimeError: MT-EXE-MISSING not found on node7: tried /x (No such file or directory)";
        let broken = "MT-EXE-START /x on node7: Permission denied; if its file system does not allow programs, move it";
        let report = report(vec![(saying(missing), Ok(speed())), (saying(broken), Ok(speed()))]);
        let [first, second] = &report.faults[..] else { panic!("{:?}", report.faults) };
        assert_eq!(first.what, "it lacks this program: not found on node7: tried /x (No such file or directory)");
        assert!(first.todo.contains("share") && first.word == "lacks program", "{first:?}");
        assert_eq!(second.what, "/x on node7: Permission denied");
        assert_eq!(second.todo, "if its file system does not allow programs, move it");
    }

    #[test]
    fn versions_that_differ_say_what_to_install() {
        let mut old = facts();
        old.distributed = "2026.7.0".to_owned();
        let report = report(vec![(old, Ok(speed()))]);
        assert_eq!(report.verdict().as_deref(), Some("its worker is faulty"));
        assert_eq!(report.faults[0].word, "distributed 2026.7.0");
        assert_eq!(report.faults[0].todo, "`python -m pip install distributed==2026.8.0` on node7, and restart it");
    }

    #[test]
    fn another_python_and_a_program_that_was_sent_are_no_faults() {
        let mut other = facts();
        other.python = "3.12.1".to_owned();
        let mut sent = speed();
        sent.program.path = "/tmp/dask/microtome-0123".to_owned();
        let report = report(vec![(other, Ok(sent)), (facts(), Ok(speed()))]);
        assert_eq!(report.verdict(), None);
        assert_eq!(
            report.notes,
            [
                "Python is 3.11 here and 3.12 on workers, which is no harm to microtome",
                "this program was sent to 1 of 2 workers, which do not have it as /shared/microtome"
            ]
        );
    }
}
