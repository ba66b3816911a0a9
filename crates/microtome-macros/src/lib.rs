//! `#[microtome::function]`: a function that a cluster can call by its name.
//!
//! Tokens in, tokens out: `options` reads what stands in the brackets of the attribute, `check` says what cannot travel
//! and what to write instead, `outcome` reads the return type, `expand` writes the code. What runs the function, and
//! how its arguments are written down, is the matter of `microtome-handler`, whose items the written code names.
//!
//! *Invariant:* what is written breaks none of the workspace's lints. A function that is refused stands in the output
//! as it was, so that no other error follows from ours.

mod check;
mod expand;
mod options;
mod outcome;
mod types;

/// Makes a free function able to travel to a cluster: `handler.map(f, …)` sends its name and its arguments, and a
/// worker that runs the same program calls it.
///
/// It is still called as a function. Its arguments and its result are owned values that serde can write and read. A
/// return type whose last part is `Result` gives its first type argument as the result, and an `Err`, of any type that
/// can be displayed, makes that one item fail. Every other return type is the result itself.
///
/// # Options
/// - `name = "segment@1"`: the name that travels, instead of the path of the function in its crate. Give one where
///   programs of two versions meet.
/// - `crate = path`: where `microtome-handler` is found, if not at `::microtome::handler`.
///
/// # Limits
/// - The function becomes a value of a type, both with its name. So its module has no other type of this name, a local
///   variable elsewhere in that module cannot have it, and it is not called where a constant is computed.
/// - If it is `pub`, so are the types of its arguments and its result.
///
/// # Examples
/// ```standalone_crate
/// # extern crate self as microtome;
/// # pub use microtome_macros::function;
/// # pub mod handler {
/// #     #[derive(Debug, PartialEq)]
/// #     pub struct TaskError(String);
/// #     impl TaskError {
/// #         pub fn failed(error: &(impl std::fmt::Display + ?Sized)) -> TaskError { TaskError(error.to_string()) }
/// #     }
/// #     pub trait Function {
/// #         const NAME: &'static str;
/// #         type Args;
/// #         type Output;
/// #         fn call(&self, args: Self::Args) -> Result<Self::Output, TaskError>;
/// #     }
/// #     pub mod __private {
/// #         pub mod inventory {
/// #             macro_rules! submit { ($value:expr) => { const _: $crate::handler::__private::Registered = $value; } }
/// #             pub(crate) use submit;
/// #         }
/// #         pub struct Registered;
/// #         impl Registered {
/// #             pub const fn new<F: super::Function + Copy>(_: F, _: fn(&mut ())) -> Registered { Registered }
/// #         }
/// #         pub fn run_batch<F: super::Function>(_: F, _: &mut ()) {}
/// #     }
/// # }
/// # fn main() {
/// use microtome::handler::Function;
///
/// /// Number of steps until `n` is 1.
/// #[microtome::function(name = "collatz@1")]
/// fn collatz(n: u64, limit: u32) -> Result<u32, String> {
///     let next = |n: &u64| (*n != 1).then(|| if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
///     let steps = std::iter::successors(Some(n), next).count() as u32 - 1;
///     if steps <= limit { Ok(steps) } else { Err(format!("{steps} steps, at most {limit} are allowed")) }
/// }
///
/// assert_eq!(collatz(27, 200), Ok(111));
/// assert_eq!(collatz.call((27, 200)), Ok(111));
/// assert!(collatz.call((27, 100)).is_err());
/// # }
/// ```
#[proc_macro_attribute]
pub fn function(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand::function(options.into(), &item.into()).into()
}
