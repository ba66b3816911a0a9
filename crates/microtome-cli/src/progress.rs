//! Progress on standard error while a run goes on: a bar on a terminal, lines elsewhere if they were asked for.
//!
//! A thread of its own looks at the run's counters; the run knows nothing of it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use microtome::{Counters, Estimate, Forecast, Snapshot};

use crate::args::{Everywhere, ProgressMode};
use crate::human::{about, bytes, count, duration};
use crate::output::say;

const BAR: Duration = Duration::from_millis(100);
const LINES: Duration = Duration::from_secs(2);

/// Progress of a run; ends when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Bar,
    Lines,
    Hidden,
}

fn view(everywhere: &Everywhere, terminal: bool) -> View {
    match everywhere.progress {
        ProgressMode::Always if terminal => View::Bar,
        ProgressMode::Always => View::Lines,
        ProgressMode::Auto if terminal && !everywhere.json && !everywhere.quiet => View::Bar,
        ProgressMode::Auto | ProgressMode::Never => View::Hidden,
    }
}

impl Progress {
    /// Shows what `counters` count, on the way to what was estimated.
    pub(crate) fn start(
        everywhere: &Everywhere,
        counters: &Arc<Counters>,
        (estimate, time): (&Estimate, Option<&Forecast>),
    ) -> Progress {
        let view = view(everywhere, std::io::stderr().is_terminal());
        if view == View::Hidden {
            return Progress { thread: None };
        }
        if let Some(time) = time {
            say(&format!("this will take {}", about(time)));
        }
        let goal = Goal { bytes: estimate.bytes_read, units: estimate.units, start: Instant::now() };
        let (stop, stopped) = channel();
        let counters = Arc::clone(counters);
        let thread = std::thread::spawn(move || {
            let shown = Shown::new(view, &goal);
            while stopped.recv_timeout(shown.interval()) == Err(RecvTimeoutError::Timeout) {
                shown.update(&goal, &counters.snapshot());
            }
            shown.end(&goal, &counters.snapshot());
        });
        Progress { thread: Some((stop, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            // A panic there was told by the panic hook; the run is not worse for it.
            let _ = thread.join();
        }
    }
}

/// Progress over things of which each takes a moment; the bar goes when dropped.
#[derive(Debug)]
pub(crate) struct Steps {
    view: View,
    bar: ProgressBar,
    what: &'static str,
}

impl Steps {
    /// Shows how many of the things that `what` names are done.
    pub(crate) fn start(everywhere: &Everywhere, what: &'static str) -> Steps {
        let view = view(everywhere, std::io::stderr().is_terminal());
        let target = if view == View::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:32}} {{pos}} of {{len}} {what}")) {
            bar.set_style(style.progress_chars("━━╌"));
        }
        Steps { view, bar, what }
    }

    /// So many of all are done.
    pub(crate) fn done(&self, done: usize, all: usize) {
        match self.view {
            View::Lines => say(&format!("{done} of {all} {}", self.what)),
            View::Bar | View::Hidden => {
                self.bar.set_length(all as u64);
                self.bar.set_position(done as u64);
            }
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where a run is going.
#[derive(Debug)]
struct Goal {
    bytes: u64,
    units: u64,
    start: Instant,
}

impl Goal {
    /// Write units to be made: fewer than were estimated where a run goes on from an earlier one.
    fn units(&self, now: &Snapshot) -> u64 {
        if now.units_planned == 0 { self.units } else { now.units_planned }
    }

    /// Bytes to be read: of units that are made already none, as far as units are alike.
    fn bytes(&self, now: &Snapshot) -> u64 {
        let share = u128::from(self.bytes) * u128::from(self.units(now)) / u128::from(self.units.max(1));
        u64::try_from(share).unwrap_or(self.bytes).max(now.bytes_read)
    }

    /// What is done and held: `3 of 6 units, 4.55 MiB of 9.11 MiB held`.
    fn state(&self, now: &Snapshot) -> String {
        let units = format!("{} of {} units", count(now.units), count(self.units(now)));
        if now.bytes_ceiling == 0 {
            return units;
        }
        format!("{units}, {} of {} held", bytes(now.bytes_held), bytes(now.bytes_ceiling))
    }

    /// A line: how far, how fast, what is held, how long still.
    fn line(&self, now: &Snapshot, elapsed: f64) -> String {
        let all = self.bytes(now);
        let share = now.bytes_read as f64 / all.max(1) as f64;
        let rate = now.bytes_read as f64 / elapsed.max(1e-6);
        let left = (all - now.bytes_read) as f64 / rate.max(1.0);
        let left = match now.bytes_read {
            0 => "? left".to_owned(),
            read if read == all && now.units >= self.units(now) => format!("done in {}", duration(elapsed)),
            _ => format!("{} left", duration(left)),
        };
        format!(
            "{:3.0} %  {} of {}, {}/s, {}, {left}",
            (share * 100.0).floor(),
            bytes(now.bytes_read),
            bytes(all),
            bytes(rate as u64),
            self.state(now)
        )
    }
}

enum Shown {
    Bar(ProgressBar),
    Lines,
}

impl Shown {
    fn new(view: View, goal: &Goal) -> Shown {
        if view == View::Lines {
            return Shown::Lines;
        }
        let bar = ProgressBar::with_draw_target(Some(goal.bytes.max(1)), ProgressDrawTarget::stderr());
        let template = "{bar:32} {percent:>3} %  {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━╌"));
        }
        Shown::Bar(bar)
    }

    fn interval(&self) -> Duration {
        match self {
            Shown::Bar(_) => BAR,
            Shown::Lines => LINES,
        }
    }

    fn update(&self, goal: &Goal, now: &Snapshot) {
        match self {
            Shown::Bar(bar) => {
                bar.set_message(goal.state(now));
                bar.set_length(goal.bytes(now).max(1));
                bar.set_position(now.bytes_read);
            }
            Shown::Lines => say(&goal.line(now, goal.start.elapsed().as_secs_f64())),
        }
    }

    /// The bar goes away, the summary says it all; the last line stays.
    fn end(&self, goal: &Goal, now: &Snapshot) {
        match self {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines => self.update(goal, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn view_of(args: &[&str], terminal: bool) -> View {
        let args = [&["microtome", "inspect", "a.tif"], args].concat();
        view(&crate::args::Cli::try_parse_from(args).unwrap().everywhere, terminal)
    }

    #[test]
    fn programs_see_no_bar_unless_they_ask() {
        assert_eq!(view_of(&[], true), View::Bar);
        assert_eq!(view_of(&[], false), View::Hidden);
        assert_eq!(view_of(&["--json"], true), View::Hidden);
        assert_eq!(view_of(&["--quiet"], true), View::Hidden);
        assert_eq!(view_of(&["--json", "--progress", "always"], false), View::Lines);
        assert_eq!(view_of(&["--progress", "never"], true), View::Hidden);
    }

    #[test]
    fn a_line_says_how_far_and_how_long() {
        let goal = Goal { bytes: 8 << 20, units: 4, start: Instant::now() };
        let now = Snapshot { bytes_read: 2 << 20, units: 1, ..Snapshot::default() };
        assert_eq!(goal.line(&now, 2.0), " 25 %  2.00 MiB of 8.00 MiB, 1.00 MiB/s, 1 of 4 units, 6.0 s left");
        let now = Snapshot { bytes_held: 3 << 20, bytes_ceiling: 5 << 20, ..now };
        let held = " 25 %  2.00 MiB of 8.00 MiB, 1.00 MiB/s, 1 of 4 units, 3.00 MiB of 5.00 MiB held, 6.0 s left";
        assert_eq!(goal.line(&now, 2.0), held);
        let done = Snapshot { bytes_read: 8 << 20, units: 4, ..now };
        assert!(goal.line(&done, 2.0).ends_with("held, done in 2.0 s"), "{}", goal.line(&done, 2.0));
        // A run that goes on from an earlier one has less to do.
        let now = Snapshot { units_planned: 2, ..now };
        assert!(goal.line(&now, 2.0).starts_with(" 50 %  2.00 MiB of 4.00 MiB, 1.00 MiB/s, 1 of 2 units"), "{now:?}");
        assert!(goal.line(&Snapshot::default(), 0.0).ends_with("? left"));
    }
}
