//! `#[function]` as an author uses it: what is written compiles without a lint, is called as a function, and is a
//! `Function`. The messages and the shape of the code are tested beside it, in `src`.

// The default path of the macro, `::microtome::handler`, is found in this file.
extern crate self as microtome;

mod handler;

use std::path::PathBuf;

use handler::{Function, TaskError};
use microtome_macros::function;

fn name<F: Function>(_: F) -> &'static str {
    F::NAME
}

/// Docs.
#[function]
fn count_nuclei(path: PathBuf, sigma: f64) -> Result<u32, std::num::ParseIntError> {
    let digits: String = path.display().to_string().chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse::<u32>()? * sigma as u32)
}

#[test]
fn it_is_called_as_a_function_and_as_a_function_that_travels() {
    assert_eq!(count_nuclei(PathBuf::from("plate-21.tif"), 2.0), Ok(42));
    assert_eq!(count_nuclei.call((PathBuf::from("plate-21.tif"), 2.0)), Ok(42));
    let error = TaskError("cannot parse integer from empty string".to_owned());
    assert_eq!(count_nuclei.call((PathBuf::from("plate.tif"), 2.0)), Err(error));
    assert_eq!(format!("{count_nuclei:?}"), "count_nuclei");
    assert_eq!(name(count_nuclei), "function::count_nuclei");
}

#[test]
fn it_is_passed_where_a_plain_function_is_wanted() {
    let plain: fn(u64) -> u64 = *doubled;
    assert_eq!([1, 2].map(plain), [2, 4]);
}

#[function]
const fn doubled(n: u64) -> u64 {
    n * 2
}

mod inner {
    use microtome_macros::function;

    use crate::handler;

    #[function(crate = handler, name = "nothing@2")]
    pub(crate) fn nothing() {
        // Of a unit struct, clippy would take this for a construction without effect.
        super::doubled(1);
    }

    #[function(crate = crate::handler)]
    pub(crate) fn r#match((a, b): (i8, i8)) -> i8 {
        a - b
    }
}

#[test]
fn the_name_holds_the_modules_unless_it_is_given() {
    assert_eq!(name(inner::nothing), "nothing@2");
    assert_eq!(name(inner::r#match), "function::inner::match");
    assert_eq!(inner::nothing.call(()), Ok(()));
    assert_eq!(inner::r#match.call((3, 5)), Ok(-2));
}

#[test]
fn an_argument_may_be_called_as_the_function() {
    #[function]
    fn sigma(sigma: f32) -> f32 {
        sigma
    }
    assert_eq!(sigma.call(1.5), Ok(1.5));
}

#[test]
fn the_function_may_call_itself() {
    #[function]
    const fn factorial(n: u64) -> u64 {
        if n == 0 { 1 } else { n * factorial(n - 1) }
    }
    assert_eq!(factorial.call(5), Ok(120));
}

/// An alias that does not show its error.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[test]
fn any_error_that_can_be_displayed_fails_the_task() {
    use Outcome as Result;

    #[function]
    fn boxed(text: String) -> Result<u8> {
        Ok(text.parse()?)
    }

    #[function]
    fn borrowed(n: u8) -> core::result::Result<u8, &'static str> {
        n.checked_add(1).ok_or("full")
    }
    assert_eq!(boxed.call("7".to_owned()), Ok(7));
    assert_eq!(boxed.call(String::new()), Err(TaskError("cannot parse integer from empty string".to_owned())));
    assert_eq!(borrowed.call(255), Err(TaskError("full".to_owned())));
}

#[test]
fn attributes_keep_their_meaning() {
    #[function]
    #[deprecated = "use another"]
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "this is what is tested")]
    fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) -> u8 {
        a + b + c + d + e + f + g
    }

    // Its argument and its result are types that do not exist.
    #[function]
    #[cfg(any())]
    fn absent(a: Absent) -> Absent {
        a
    }
    #[expect(deprecated, reason = "this is what is tested")]
    let sum = many.call((1, 2, 3, 4, 5, 6, 7));
    assert_eq!(sum, Ok(28));
}

/// Names that the written code could trip over.
mod names {
    #![allow(non_camel_case_types, dead_code, reason = "names of the prelude, of locals, of crates")]

    use microtome_macros::function;

    struct Ok;
    struct Err;
    struct Result;
    struct Clone;
    struct Copy;
    struct Debug;
    struct error;
    struct args;
    mod core {}
    mod microtome {}

    #[function]
    fn deref(call: u8, output: u8) -> std::result::Result<u8, String> {
        call.checked_sub(output).ok_or_else(|| "negative".to_owned())
    }

    #[test]
    fn names_of_the_author_do_not_get_into_the_written_code() {
        use crate::handler::Function;
        assert_eq!(deref.call((3, 2)), std::result::Result::Ok(1));
    }
}
