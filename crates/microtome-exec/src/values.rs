//! Values of kept layers, held by key until their last consumer has run.
//!
//! [`LiveValues`] holds those that one window alone needs. [`SharedValues`] holds those that windows share: whoever
//! needs one first makes it, the others wait for it, and the last to use it frees it.
//!
//! *Invariant:* a value is made once in a run. Whoever waits for a value waits for a thread that is making it, and a task
//! graph has no circle, so nobody waits for ever.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use microtome_graph::{Task, TaskMap};

use crate::quarantine::Made;

/// Values that later tasks of a window still need.
#[derive(Debug, Default)]
pub(crate) struct LiveValues {
    held: TaskMap<Held>,
}

#[derive(Debug)]
enum Held {
    /// Made by this window, for so many of its tasks.
    Own(Made, usize),
    /// Borrowed from the shared values for the task that runs.
    Borrowed(Arc<Made>),
}

impl LiveValues {
    /// Holds a value for so many consumers.
    pub(crate) fn hold(&mut self, task: Task, value: Made, consumers: usize) {
        if consumers > 0 {
            self.held.insert(task, Held::Own(value, consumers));
        }
    }

    /// Holds a shared value until it is [released](LiveValues::release).
    pub(crate) fn borrow(&mut self, task: Task, value: Arc<Made>) {
        self.held.insert(task, Held::Borrowed(value));
    }

    /// A value.
    ///
    /// # Panics
    /// If it is not held: tasks run before what they need, a bug in lowering.
    pub(crate) fn get(&self, task: &Task) -> &Made {
        match self.held.get(task) {
            Some(Held::Own(value, _)) => value,
            Some(Held::Borrowed(value)) => value,
            None => panic!("the value of {task:?} is gone before its last consumer"),
        }
    }

    /// One consumer has run; after the last the value is freed. Says whether the value is a borrowed one.
    pub(crate) fn release(&mut self, task: &Task) -> bool {
        match self.held.get_mut(task) {
            Some(Held::Own(_, consumers)) if *consumers > 1 => {
                *consumers -= 1;
                false
            }
            Some(Held::Own(..)) => {
                self.held.remove(task);
                false
            }
            Some(Held::Borrowed(_)) => {
                self.held.remove(task);
                true
            }
            None => false,
        }
    }

    /// Whether every value has been freed.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// Values that windows share.
#[derive(Debug, Default)]
pub(crate) struct SharedValues {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    values: TaskMap<Shared>,
    stopped: bool,
}

#[derive(Debug)]
enum Shared {
    /// Somebody is making it.
    Making,
    /// It is there, for so many more uses.
    Made(Arc<Made>, u64),
}

/// The run has failed, and nobody will make what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// The shared values at one moment.
pub(crate) struct Look<'a>(MutexGuard<'a, State>);

impl Look<'_> {
    /// Whether a value is there, or being made.
    pub(crate) fn has(&self, task: &Task) -> bool {
        self.0.values.contains_key(task)
    }

    /// Promises to make a value.
    pub(crate) fn claim(mut self, task: Task) {
        self.0.values.insert(task, Shared::Making);
    }
}

impl SharedValues {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No statement that changes the state can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the values; nobody changes them meanwhile.
    pub(crate) fn look(&self) -> Look<'_> {
        Look(self.lock())
    }

    /// Keeps a promise: the value, for so many uses.
    pub(crate) fn made(&self, task: Task, value: Made, uses: u64) {
        let mut state = self.lock();
        if uses == 0 {
            state.values.remove(&task);
        } else {
            state.values.insert(task, Shared::Made(Arc::new(value), uses));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A value, waited for if somebody is making it.
    ///
    /// # Panics
    /// If nobody has made it or is making it: a bug in counting uses.
    pub(crate) fn wait(&self, task: &Task) -> Result<Arc<Made>, Stopped> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            match state.values.get(task) {
                Some(Shared::Made(value, _)) => return Ok(Arc::clone(value)),
                Some(Shared::Making) => {}
                None => panic!("the shared value of {task:?} is gone before its last use"),
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A use is over; after the last the value is freed.
    pub(crate) fn release(&self, task: &Task) {
        let mut state = self.lock();
        let Some(Shared::Made(_, uses)) = state.values.get_mut(task) else { return };
        *uses -= 1;
        let freed = if *uses == 0 { state.values.remove(task) } else { None };
        drop(state);
        drop(freed);
    }

    /// Wakes everybody who waits: the run has failed.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Whether every value has been freed.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::{ArraySpec, PixelType, Pixels, Shape};
    use microtome_graph::LayerId;

    fn task(chunk: u64) -> Task {
        Task { layer: LayerId(0), chunk }
    }

    fn value() -> Made {
        Made::good(Pixels::zeroed(ArraySpec { shape: Shape::new([1; 6]).unwrap(), dtype: PixelType::U8 }))
    }

    #[test]
    fn who_comes_second_waits_for_who_came_first() {
        let values = SharedValues::default();
        assert!(!values.look().has(&task(1)));
        values.look().claim(task(1));
        assert!(values.look().has(&task(1)));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| values.wait(&task(1)).map(|value| value.pixels.spec().bytes()));
            values.made(task(1), value(), 2);
            assert_eq!(second.join().unwrap(), Ok(1));
        });
        values.release(&task(1));
        assert!(!values.is_empty());
        values.release(&task(1));
        assert!(values.is_empty(), "the last use frees it");
    }

    #[test]
    fn nobody_waits_for_a_run_that_failed() {
        let values = SharedValues::default();
        values.look().claim(task(1));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| values.wait(&task(1)).map(|_| ()));
            values.stop();
            assert_eq!(waiting.join().unwrap(), Err(Stopped));
        });
    }
}
