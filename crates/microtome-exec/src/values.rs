//! Values of kept layers, held by key until their last consumer has run.

use std::collections::HashMap;

use microtome_array::Pixels;
use microtome_graph::Task;

/// Values that later tasks of a window still need.
#[derive(Debug, Default)]
pub(crate) struct LiveValues {
    held: HashMap<Task, Held>,
}

#[derive(Debug)]
struct Held {
    pixels: Pixels,
    consumers: usize,
}

impl LiveValues {
    /// Holds a value for so many consumers.
    pub(crate) fn hold(&mut self, task: Task, pixels: Pixels, consumers: usize) {
        if consumers > 0 {
            self.held.insert(task, Held { pixels, consumers });
        }
    }

    /// A value.
    ///
    /// # Panics
    /// If it is not held: tasks run before what they need, a bug in lowering.
    pub(crate) fn get(&self, task: &Task) -> &Pixels {
        &self.held.get(task).unwrap_or_else(|| panic!("the value of {task:?} is gone before its last consumer")).pixels
    }

    /// One consumer has run; after the last the value is freed.
    pub(crate) fn release(&mut self, task: &Task) {
        let Some(held) = self.held.get_mut(task) else { return };
        held.consumers -= 1;
        if held.consumers == 0 {
            self.held.remove(task);
        }
    }

    /// Whether every value has been freed.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
