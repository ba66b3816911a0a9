//! Functions that travel: known by name in every process that runs the same program.
//!
//! *Invariant:* nothing but a name and bytes goes to a worker; the code is there already, in the same executable.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::worker::BatchCall;

/// A function that may run on a Dask worker. `#[microtome::function]` makes one of a plain function.
///
/// `Args` is `T` for one argument, else a tuple; arguments and results are owned and serialisable.
///
/// # Examples
/// ```
/// use microtome_handler::{Function, Handler, function};
///
/// #[function(crate = microtome_handler)]
/// fn add(a: u32, b: u32) -> u32 {
///     a + b
/// }
///
/// assert_eq!(add(1, 2), 3); // still called as a function
/// let handler = Handler::new(None)?; // threads; a cluster with Some("tcp://…")
/// let futures = handler.map(add, [(1, 2), (3, 4)]);
/// assert_eq!(handler.try_gather(futures)?, [3, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to a cluster",
    label = "not a function that a worker knows by name",
    note = "mark a function with #[microtome::function], or use Handler::local()"
)]
pub trait Function: Copy + Send + Sync + 'static {
    /// Its name, the same in every process of the program: `crate::module::function`.
    const NAME: &'static str;
    /// What it takes.
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// What it gives.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Calls it.
    ///
    /// # Errors
    /// What the function returns as `Err`, as [`TaskErrorKind::Failed`](crate::TaskErrorKind::Failed).
    fn call(&self, args: Self::Args) -> Result<Self::Output, TaskError>;
}

/// A function as the registry has it.
#[derive(Debug)]
pub struct Registered {
    /// Its name.
    pub(crate) name: &'static str,
    /// Runs it over a batch of packed arguments.
    pub(crate) run: fn(&mut BatchCall<'_>) -> std::io::Result<()>,
}

impl Registered {
    /// An entry; `#[microtome::function]` writes it, with `run` calling [`run_batch`] with the function.
    pub const fn new<F: Function>(_: F, run: fn(&mut BatchCall<'_>) -> std::io::Result<()>) -> Registered {
        Registered { name: F::NAME, run }
    }
}

inventory::collect!(Registered);

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Registered> {
    inventory::iter::<Registered>().find(|entry| entry.name == name)
}

/// The names of all functions in this program, sorted.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = inventory::iter::<Registered>().map(|entry| entry.name).collect();
    names.sort_unstable();
    names
}

/// Runs a function over a batch: an item's error or panic is its own.
///
/// # Errors
/// Only what writing to the pipe, or a damaged body, gives.
pub fn run_batch<F: Function>(function: F, call: &mut BatchCall<'_>) -> std::io::Result<()> {
    while let Some(args) = call.next_args::<F::Args>()? {
        let outcome = match args {
            Ok(args) => catch_unwind(AssertUnwindSafe(|| function.call(args)))
                .unwrap_or_else(|payload| Err(TaskError::panicked(payload.as_ref()))),
            Err(error) => Err(error),
        };
        call.put(outcome)?;
    }
    Ok(())
}
