//! What a deep check of a cluster found, for people.

use std::fmt::Write as _;

use super::number::{bytes, count, duration, things};
use super::table::{Align, Table};
use crate::verbs::{Deep, OfWorker, Rates, Reading, Tried, Visited};

/// Folders, rates, the image, batches, advice: each as far as it was measured.
pub(super) fn deep(found: &Deep) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n{}", shared(&found.shared));
    if !found.rates.is_empty() {
        let _ = writeln!(out, "{}", rates(&found.rates));
    }
    if let Some(reading) = &found.reading {
        let _ = writeln!(out, "{}", read(reading));
    }
    if !found.sizes.is_empty() {
        let _ = writeln!(out, "{}", sizes(&found.sizes));
    }
    for advice in &found.advice {
        let _ = writeln!(out, "advice: {advice}");
    }
    out
}

fn shared(all: &[Visited]) -> Table<4> {
    use Align::Left;
    let head = ["folder", "on worker", "reads ours", "we read its"];
    let mut rows = vec![head.map(str::to_owned)];
    let word = |well: bool| if well { "yes" } else { "no" }.to_owned();
    rows.extend(all.iter().map(|visited| {
        [visited.path.display().to_string(), visited.worker.clone(), word(visited.reads), word(visited.writes)]
    }));
    Table { columns: [Left; 4], rows }
}

fn rates(all: &[OfWorker]) -> Table<5> {
    use Align::{Left, Right};
    let head = ["one thread of", "reads", "decodes", "writes", "in memory of"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(all.iter().map(|(worker, rates)| {
        let rate = |of: fn(&Rates) -> f64| {
            rates.as_ref().map_or_else(|_| "–".to_owned(), |rates| format!("{}/s", bytes(of(rates) as u64)))
        };
        let memory = rates.as_ref().map_or_else(|_| "–".to_owned(), |rates| bytes(rates.memory));
        [worker.clone(), rate(|rates| rates.read), rate(|rates| rates.decode), rate(|rates| rates.write), memory]
    }));
    Table { columns: [Left, Right, Right, Right, Right], rows }
}

fn read(reading: &Reading) -> String {
    let mut out = format!(
        "{} was opened and read {} in {} ({:.0} a second, {:.1} ms each, here {:.1} ms; {:.0} % of the threads' time)\n",
        if reading.is_own { "an image of its own".to_owned() } else { reading.image.display().to_string() },
        things(reading.iterations, "time"),
        duration(reading.seconds),
        reading.items_per_second,
        reading.seconds_each * 1000.0,
        reading.seconds_here * 1000.0,
        reading.useful * 100.0,
    );
    if reading.failed > 0 {
        let _ = writeln!(out, "{} of them failed", count(reading.failed));
    }
    out
}

fn sizes(all: &[Tried]) -> Table<4> {
    let head = ["items in a batch", "items", "items/s", "useful time"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(all.iter().map(|tried| {
        let useful = format!("{:.0} %", tried.useful * 100.0);
        [count(tried.batch_size), count(tried.items), format!("{:.0}", tried.items_per_second), useful]
    }));
    Table { columns: [Align::Right; 4], rows }
}
