//! `plan` of several images for people: images that are planned alike stand in one row.

use microtome::{Estimate, GraphError, RunOptions, Store};

use super::number::{bytes, count};
use super::table::{Align, Table};
use crate::verbs::Job;

/// Images that are alike in what is told of them.
struct Alike<T> {
    first: String,
    more: usize,
    told: T,
}

impl<T> Alike<T> {
    fn title(&self) -> String {
        let first = if self.first.is_empty() { "(itself)" } else { &self.first };
        if self.more == 0 { first.to_owned() } else { format!("{first} and {} alike", count(self.more as u64)) }
    }
}

/// What is told of each image, that of equal ones once, in the order of the first of them.
fn alike<T: PartialEq>(job: &Job, tell: impl Fn(&Store) -> T) -> Vec<Alike<T>> {
    let mut all: Vec<Alike<T>> = Vec::new();
    for (path, store) in job.images() {
        let told = tell(store);
        match all.iter_mut().find(|known| known.told == told) {
            Some(known) => known.more += 1,
            None => all.push(Alike { first: path.to_owned(), more: 0, told }),
        }
    }
    all
}

/// A row an image, then the sum of all.
pub(super) fn table(job: &Job, sum: &Estimate, options: &RunOptions) -> Table<7> {
    use Align::{Left, Right};
    let row = |title: String, result: String, estimate: Option<&Estimate>| {
        let number = |of: fn(&Estimate) -> String| estimate.map_or_else(String::new, of);
        let read = number(|e| bytes(e.bytes_read));
        let (tasks, run) = (number(|e| count(e.tasks)), number(|e| count(e.fused)));
        [title, result, tasks, run, read, number(|e| count(e.units)), number(|e| bytes(e.bytes_written))]
    };
    let numbers = |store: &Store| {
        let array = store.output().array(0).spec().array;
        row(String::new(), format!("{} {}", array.shape, array.dtype), estimate(store, options).ok().as_ref())
    };
    let mut rows = vec![["image", "result", "tasks", "run", "read", "units", "written"].map(str::to_owned)];
    for alike in alike(job, numbers) {
        let title = alike.title();
        let [_, result, rest @ ..] = alike.told;
        let [tasks, run, read, units, written] = rest;
        rows.push([title, result, tasks, run, read, units, written]);
    }
    rows.push(row(format!("total of {}", count(job.images().len() as u64)), String::new(), Some(sum)));
    Table { columns: [Left, Right, Right, Right, Right, Right, Right], rows }
}

/// The numbers of one image; of a refused one, as it would run with memory enough.
pub(crate) fn estimate(store: &Store, options: &RunOptions) -> Result<Estimate, GraphError> {
    let enough = RunOptions { memory: u64::MAX / 4, ..options.clone() };
    store.estimate(options).or_else(|_| store.estimate(&enough))
}

/// Why the plan is as it is: of several images, of those that are alike once.
pub(crate) fn explained(job: &Job, options: &RunOptions) -> String {
    let why = |store: &Store| store.plan().explain(options).to_string();
    if job.images().is_empty() {
        return format!("\n{}", why(&job.stores()[0]));
    }
    alike(job, why).iter().map(|alike| ["\n", &alike.title(), "\n", &alike.told].concat()).collect()
}
