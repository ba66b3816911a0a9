//! The scheduler: which window of write-unit groups runs next.
//!
//! A pure state machine: events in, commands out; no clock, no threads, no I/O, so that it is the same machine that the
//! executor obeys and that a simulator drives through thousands of seeds. Windows are handed out in order, so that
//! reading goes forward through a file and values die soon; each holds a reservation for its worst case from before it
//! starts until it ends, so a window that runs can always finish and admission cannot deadlock. What groups share is
//! reserved once, for as far as the windows may run ahead of the oldest.
//!
//! *Invariants*, checked after every event: reservations pass the budget only where the budget was lowered after they
//! were made; each group is in one state and is published once; while groups wait, something runs or can start.

use std::collections::BTreeMap;
use std::ops::Range;

#[cfg(test)]
mod simulated;

/// A run of groups, by their C-order positions.
pub type Window = Range<u64>;

/// Which try at which window: two tries at a window have different tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// First group of the window.
    pub start: u64,
    /// How often the window was tried before.
    pub attempt: u32,
}

/// A window to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What to say when it has ended.
    pub ticket: Ticket,
    /// The groups.
    pub window: Window,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The run starts.
    Start,
    /// A try has ended well. Of a try that was given up for lost it changes nothing.
    Finished(Ticket),
    /// A try has failed for good.
    Failed(Ticket),
    /// A try will not be heard of again, or takes too long: its worker is gone. It may be tried again.
    Lost(Ticket),
    /// There is more memory to use, or less.
    Budget(u64),
    /// The user wants to stop.
    Cancelled,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a window.
    Run(Job),
    /// All windows have finished: publish.
    Publish,
    /// Nothing runs any more and not all is done: clean up.
    Abandon(End),
}

/// Why a run ends without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A window failed.
    Failed,
    /// A window was lost more often than it may be tried.
    Lost,
    /// The user wanted to stop.
    Cancelled,
    /// The budget was lowered below what one window needs.
    Starved,
}

/// What a scheduler is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Groups in all.
    pub groups: u64,
    /// Groups to a window.
    pub window: u64,
    /// Windows at once.
    pub slots: u64,
    /// Bytes reserved for each window that runs.
    pub reserve: u64,
    /// Bytes reserved for what windows share.
    pub shared: u64,
    /// Bytes to use in all.
    pub budget: u64,
    /// Groups from the oldest that runs to the newest, at most.
    pub spread: u64,
    /// How often a window that was lost is tried again.
    pub retries: u32,
}

/// The scheduler of one stage.
#[derive(Debug)]
pub struct Scheduler {
    setup: Setup,
    /// First group that was never handed out.
    next: u64,
    done: u64,
    failed: u64,
    running: BTreeMap<u64, Running>,
    /// Windows that were lost and are to be tried again.
    again: BTreeMap<u64, Running>,
    stopping: Option<End>,
    ended: bool,
    /// Whether reservations may pass the budget, because it was lowered under them.
    squeezed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    end: u64,
    attempt: u32,
}

impl Scheduler {
    /// A scheduler that has handed out nothing.
    ///
    /// # Panics
    /// If windows, slots or spread are empty, or a single window passes the budget: planning refuses that before.
    ///
    /// # Examples
    /// ```
    /// use microtome_exec::{Command, Event, Scheduler, Setup, Ticket};
    /// let setup = Setup { groups: 5, window: 2, slots: 2, reserve: 10, shared: 0, budget: 25, spread: 9, retries: 0 };
    /// let mut scheduler = Scheduler::new(setup);
    /// let windows = |commands: Vec<Command>| -> Vec<_> {
    ///     commands.into_iter().filter_map(|c| match c { Command::Run(job) => Some(job.window), _ => None }).collect()
    /// };
    /// assert_eq!(windows(scheduler.on(Event::Start)), [0..2, 2..4]);
    /// assert_eq!(windows(scheduler.on(Event::Finished(Ticket { start: 2, attempt: 0 }))), [4..5]);
    /// assert_eq!(scheduler.on(Event::Finished(Ticket { start: 0, attempt: 0 })), []);
    /// assert_eq!(scheduler.on(Event::Finished(Ticket { start: 4, attempt: 0 })), [Command::Publish]);
    /// ```
    pub fn new(setup: Setup) -> Scheduler {
        let Setup { window, slots, spread, reserve, shared, budget, .. } = setup;
        assert!(window > 0 && slots > 0 && spread > 0, "something may run: {setup:?}");
        assert!(shared.saturating_add(reserve) <= budget, "planning admits only what fits: {setup:?}");
        Scheduler {
            setup,
            next: 0,
            done: 0,
            failed: 0,
            running: BTreeMap::new(),
            again: BTreeMap::new(),
            stopping: None,
            ended: false,
            squeezed: false,
        }
    }

    /// Takes an event and says what to do.
    pub fn on(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Start => {}
            Event::Finished(ticket) => {
                if let Some(window) = self.end(ticket) {
                    self.done += window.end - ticket.start;
                }
            }
            Event::Failed(ticket) => self.fail(ticket, End::Failed),
            Event::Lost(ticket) if ticket.attempt >= self.setup.retries => self.fail(ticket, End::Lost),
            Event::Lost(ticket) => {
                if let Some(window) = self.end(ticket) {
                    self.again.insert(ticket.start, Running { attempt: ticket.attempt + 1, ..window });
                }
            }
            Event::Budget(bytes) => {
                self.setup.budget = bytes;
                self.squeezed = true;
            }
            Event::Cancelled => self.stop(End::Cancelled),
        }
        let commands = self.decide();
        self.check_invariants();
        commands
    }

    /// The window of a ticket, if it runs: what comes late or twice does not.
    fn end(&mut self, ticket: Ticket) -> Option<Running> {
        let window = *self.running.get(&ticket.start)?;
        (window.attempt == ticket.attempt).then(|| self.running.remove(&ticket.start)).flatten()
    }

    fn fail(&mut self, ticket: Ticket, why: End) {
        if let Some(window) = self.end(ticket) {
            self.failed += window.end - ticket.start;
            self.stop(why);
        }
    }

    fn stop(&mut self, why: End) {
        self.stopping.get_or_insert(why);
        let waiting: u64 = self.again.iter().map(|(start, window)| window.end - start).sum();
        self.failed += waiting;
        self.again.clear();
    }

    fn decide(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        while self.stopping.is_none() && self.may_start() {
            let Some((start, window)) = self.take() else { break };
            self.running.insert(start, window);
            let ticket = Ticket { start, attempt: window.attempt };
            commands.push(Command::Run(Job { ticket, window: start..window.end }));
        }
        if self.running.is_empty() && !self.ended {
            let all = self.done == self.setup.groups;
            self.ended = true;
            let why = self.stopping.unwrap_or(End::Starved);
            commands.push(if all { Command::Publish } else { Command::Abandon(why) });
        }
        self.squeezed &= self.reserved() > self.setup.budget;
        commands
    }

    /// The window that comes next, if it does not run too far ahead: one that is tried again comes first, because others
    /// wait for it to end.
    fn take(&mut self) -> Option<(u64, Running)> {
        if let Some(again) = self.again.pop_first() {
            return Some(again);
        }
        let Setup { groups, window, spread, .. } = self.setup;
        let end = groups.min(self.next.saturating_add(window));
        let oldest = self.running.first_key_value().map_or(self.next, |(&start, _)| start);
        // A window longer than the spread may run alone.
        let near = end - oldest <= spread.max(window);
        if self.next >= groups || !near {
            return None;
        }
        let start = std::mem::replace(&mut self.next, end);
        Some((start, Running { end, attempt: 0 }))
    }

    fn may_start(&self) -> bool {
        let running = self.running.len() as u64;
        running < self.setup.slots && self.reserved().saturating_add(self.setup.reserve) <= self.setup.budget
    }

    /// Bytes reserved by the windows that run and for what they share.
    pub fn reserved(&self) -> u64 {
        self.setup.shared.saturating_add((self.running.len() as u64).saturating_mul(self.setup.reserve))
    }

    /// Checks what must hold after every event.
    ///
    /// # Panics
    /// If it does not: a bug in the scheduler.
    pub fn check_invariants(&self) {
        let groups = |windows: &BTreeMap<u64, Running>| windows.iter().map(|(start, w)| w.end - start).sum::<u64>();
        let (running, again) = (groups(&self.running), groups(&self.again));
        let Setup { budget, groups, slots, .. } = self.setup;
        assert!(self.squeezed || self.running.is_empty() || self.reserved() <= budget, "{self:?} passes its budget");
        assert!(self.running.len() as u64 <= slots, "{self:?} runs too much at once");
        assert!(self.next <= groups, "{self:?} hands out more than there is");
        assert_eq!(self.done + self.failed + running + again, self.next, "each group handed out is in one state");
        assert!(self.ended || !self.running.is_empty(), "{self:?} waits for nothing");
        assert!(self.stopping.is_some() || self.failed == 0, "{self:?} goes on after a failure");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(groups: u64, slots: u64) -> Setup {
        Setup { groups, window: 1, slots, reserve: 1, shared: 0, budget: slots, spread: u64::MAX, retries: 1 }
    }

    fn ticket(start: u64, attempt: u32) -> Ticket {
        Ticket { start, attempt }
    }

    fn run(start: u64, attempt: u32) -> Command {
        Command::Run(Job { ticket: ticket(start, attempt), window: start..start + 1 })
    }

    #[test]
    fn an_empty_stage_is_published_at_once() {
        assert_eq!(Scheduler::new(setup(0, 2)).on(Event::Start), [Command::Publish]);
    }

    #[test]
    fn a_failure_drains_what_runs_and_starts_nothing() {
        let mut scheduler = Scheduler::new(setup(9, 3));
        scheduler.on(Event::Start);
        assert_eq!(scheduler.on(Event::Failed(ticket(1, 0))), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(0, 0))), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(2, 0))), [Command::Abandon(End::Failed)]);
    }

    #[test]
    fn a_cancel_after_the_last_group_still_publishes() {
        let mut scheduler = Scheduler::new(setup(1, 1));
        scheduler.on(Event::Start);
        assert_eq!(scheduler.on(Event::Cancelled), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(0, 0))), [Command::Publish]);
    }

    #[test]
    fn a_window_that_was_lost_is_tried_again_and_its_late_result_ignored() {
        let mut scheduler = Scheduler::new(setup(2, 1));
        scheduler.on(Event::Start);
        assert_eq!(scheduler.on(Event::Lost(ticket(0, 0))), [run(0, 1)]);
        assert_eq!(scheduler.on(Event::Finished(ticket(0, 0))), [], "the first try comes back late");
        assert_eq!(scheduler.on(Event::Finished(ticket(0, 1))), [run(1, 0)]);
        assert_eq!(scheduler.on(Event::Lost(ticket(1, 0))), [run(1, 1)]);
        assert_eq!(scheduler.on(Event::Lost(ticket(1, 1))), [Command::Abandon(End::Lost)]);
    }

    #[test]
    fn windows_do_not_run_too_far_ahead_of_the_oldest() {
        let mut scheduler = Scheduler::new(Setup { spread: 2, ..setup(9, 3) });
        assert_eq!(scheduler.on(Event::Start), [run(0, 0), run(1, 0)]);
        assert_eq!(scheduler.on(Event::Finished(ticket(1, 0))), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(0, 0))), [run(2, 0), run(3, 0)]);
    }

    #[test]
    fn a_lowered_budget_is_kept_to_as_windows_end() {
        let mut scheduler = Scheduler::new(setup(9, 3));
        assert_eq!(scheduler.on(Event::Start).len(), 3);
        assert_eq!(scheduler.on(Event::Budget(1)), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(0, 0))), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(1, 0))), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(2, 0))), [run(3, 0)]);
        assert_eq!(scheduler.on(Event::Budget(0)), []);
        assert_eq!(scheduler.on(Event::Finished(ticket(3, 0))), [Command::Abandon(End::Starved)]);
    }
}
