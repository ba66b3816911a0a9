//! The scheduler: which window of write-unit groups runs next.
//!
//! A pure state machine: events in, commands out; no clock, no threads, no I/O. Windows are handed out in order, so
//! that reading goes forward through a file and values die soon; each holds a reservation for its worst case from
//! before it starts until it ends, so a window that runs can always finish and admission cannot deadlock.
//!
//! *Invariant:* the reservations held never pass the budget, and every group is handed out once.

use std::collections::BTreeMap;
use std::ops::Range;

/// A run of groups, by their C-order positions.
pub type Window = Range<u64>;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The run starts.
    Start,
    /// The window that starts at this group has ended well.
    Finished(u64),
    /// The window that starts at this group has failed.
    Failed(u64),
    /// The user wants to stop.
    Cancelled,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a window.
    Run(Window),
    /// All windows have finished: publish.
    Publish,
    /// Nothing runs any more and not all is done: clean up.
    Abandon,
}

/// The scheduler of one stage.
#[derive(Debug)]
pub struct Scheduler {
    groups: u64,
    window: u64,
    slots: u64,
    reserve: u64,
    budget: u64,
    next: u64,
    done: u64,
    running: BTreeMap<u64, Window>,
    stopping: bool,
    ended: bool,
}

impl Scheduler {
    /// A scheduler of `groups` groups in windows of `window` of them; at most `slots` windows at once, each reserving
    /// `reserve` of `budget` bytes.
    ///
    /// # Panics
    /// If `window` or `slots` is 0 or a single reservation passes the budget: planning refuses that before.
    ///
    /// # Examples
    /// ```
    /// use microtome_exec::{Command, Event, Scheduler};
    /// let mut scheduler = Scheduler::new(5, 2, 2, 10, 25);
    /// assert_eq!(scheduler.on(Event::Start), [Command::Run(0..2), Command::Run(2..4)]);
    /// assert_eq!(scheduler.on(Event::Finished(2)), [Command::Run(4..5)]);
    /// assert_eq!(scheduler.on(Event::Finished(0)), []);
    /// assert_eq!(scheduler.on(Event::Finished(4)), [Command::Publish]);
    /// ```
    pub fn new(groups: u64, window: u64, slots: u64, reserve: u64, budget: u64) -> Scheduler {
        assert!(window > 0 && slots > 0 && reserve <= budget, "planning admits only what fits");
        let running = BTreeMap::new();
        Scheduler { groups, window, slots, reserve, budget, next: 0, done: 0, running, stopping: false, ended: false }
    }

    /// Takes an event and says what to do.
    ///
    /// # Panics
    /// If a window ends that does not run: a bug in the caller.
    pub fn on(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Start => {}
            Event::Finished(start) => self.done += self.end(start),
            Event::Failed(start) => {
                self.end(start);
                self.stopping = true;
            }
            Event::Cancelled => self.stopping = true,
        }
        let commands = self.decide();
        self.check_invariants();
        commands
    }

    fn end(&mut self, start: u64) -> u64 {
        let window = self.running.remove(&start).unwrap_or_else(|| panic!("no window runs at group {start}"));
        window.end - window.start
    }

    fn decide(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        while !self.stopping && self.next < self.groups && self.may_start() {
            let window = self.next..self.groups.min(self.next + self.window);
            self.next = window.end;
            self.running.insert(window.start, window.clone());
            commands.push(Command::Run(window));
        }
        if self.running.is_empty() && !self.ended {
            self.ended = true;
            commands.push(if self.done == self.groups { Command::Publish } else { Command::Abandon });
        }
        commands
    }

    fn may_start(&self) -> bool {
        let running = self.running.len() as u64;
        running < self.slots && self.reserved() + self.reserve <= self.budget
    }

    /// Bytes reserved by the windows that run.
    pub fn reserved(&self) -> u64 {
        self.running.len() as u64 * self.reserve
    }

    /// Checks what must hold after every event.
    ///
    /// # Panics
    /// If it does not: a bug in the scheduler.
    pub fn check_invariants(&self) {
        let running: u64 = self.running.values().map(|w| w.end - w.start).sum();
        assert!(self.reserved() <= self.budget, "{} of {} bytes reserved", self.reserved(), self.budget);
        assert!(self.done + running <= self.next && self.next <= self.groups, "groups are handed out once");
        assert!(self.stopping || self.done + running == self.next, "no group is lost");
        assert!(self.ended || !self.running.is_empty(), "something runs until the end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_stage_is_published_at_once() {
        assert_eq!(Scheduler::new(0, 4, 2, 0, 0).on(Event::Start), [Command::Publish]);
    }

    #[test]
    fn a_failure_drains_what_runs_and_starts_nothing() {
        let mut scheduler = Scheduler::new(9, 1, 3, 1, 3);
        scheduler.on(Event::Start);
        assert_eq!(scheduler.on(Event::Failed(1)), []);
        assert_eq!(scheduler.on(Event::Finished(0)), []);
        assert_eq!(scheduler.on(Event::Finished(2)), [Command::Abandon]);
    }

    #[test]
    fn a_cancel_after_the_last_group_still_publishes() {
        let mut scheduler = Scheduler::new(1, 1, 1, 1, 1);
        scheduler.on(Event::Start);
        assert_eq!(scheduler.on(Event::Cancelled), []);
        assert_eq!(scheduler.on(Event::Finished(0)), [Command::Publish]);
    }

    proptest! {
        /// Windows end in any order; some fail; the user may stop at any step.
        #[test]
        fn every_run_ends_and_hands_out_each_group_once(
            groups in 0u64..40, window in 1u64..6, slots in 1u64..5, reserve in 0u64..9, spare in 0u64..40,
            choices in proptest::collection::vec(any::<u16>(), 200), stop_at in 0usize..300, fail_one_in in 2u16..50,
        ) {
            let mut scheduler = Scheduler::new(groups, window, slots, reserve, reserve + spare);
            let mut commands = scheduler.on(Event::Start);
            let (mut running, mut handed_out, mut ended) = (Vec::new(), Vec::new(), None);
            let mut healthy = true;
            for (step, choice) in choices.iter().enumerate() {
                for command in commands.drain(..) {
                    match command {
                        Command::Run(w) => { handed_out.extend(w.clone()); running.push(w); }
                        end => { prop_assert!(ended.is_none()); ended = Some(end); }
                    }
                }
                if ended.is_some() { break; }
                if step == stop_at { healthy = false; commands = scheduler.on(Event::Cancelled); continue; }
                prop_assert!(!running.is_empty(), "something can always go on");
                let w = running.swap_remove(*choice as usize % running.len());
                let fails = choice % fail_one_in == 1;
                healthy &= !fails;
                commands = scheduler.on(if fails { Event::Failed(w.start) } else { Event::Finished(w.start) });
            }
            prop_assert!(running.is_empty());
            let unique: std::collections::BTreeSet<_> = handed_out.iter().collect();
            prop_assert_eq!(unique.len(), handed_out.len());
            match ended {
                Some(Command::Publish) => prop_assert_eq!(handed_out.len() as u64, groups),
                Some(Command::Abandon) => prop_assert!(!healthy),
                other => prop_assert!(false, "ended with {:?}", other),
            }
        }
    }
}
