//! What a function that travels cannot be, and what to write instead.
//!
//! *Invariant:* every fault of a function is reported, each where it stands, not only the first.

use quote::ToTokens;
use syn::{Error, FnArg, GenericParam, Generics, ItemFn, Result, ReturnType, Safety, Signature, Type};

use crate::outcome::Outcome;
use crate::types::{Fault, Kind, faults};

const OWNED_ARGUMENT: &str = "arguments of a function that travels are owned: take `String`, `PathBuf`, `Vec<_>`";
const NAMED_ARGUMENT: &str = "`impl Trait` is not one type: name the type of the argument";
const OWNED_RESULT: &str = "the result of a function that travels is owned: return `String`, `PathBuf`, `Vec<_>`";
const NAMED_RESULT: &str = "`impl Trait` is not one type: name the type of the result";

/// Says whether `function` can travel.
///
/// # Errors
/// All reasons why it cannot, combined.
pub(crate) fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let errors = [qualifiers(signature), generics(&signature.generics), inputs(signature), output(&signature.output)];
    let combined = errors.into_iter().flatten().reduce(|mut all, next| {
        all.combine(next);
        all
    });
    combined.map_or(Ok(()), Err)
}

/// What stands before `fn`. `const` is fine.
fn qualifiers(signature: &Signature) -> Vec<Error> {
    let mut errors = Vec::new();
    if let Some(keyword) = &signature.asyncness {
        let message = "a worker calls a function and awaits nothing: remove `async` and wait in the body";
        errors.push(Error::new_spanned(keyword, message));
    }
    if let Safety::Unsafe(keyword) = &signature.safety {
        let word = keyword.to_token_stream();
        let message =
            format!("a worker cannot keep what `{word} fn` asks of its caller: mark a safe function that calls it");
        errors.push(Error::new_spanned(keyword, message));
    }
    if let Some(abi) = &signature.abi {
        let message = "a worker calls with the ABI of Rust: remove `extern`, or mark a function that calls this one";
        errors.push(Error::new_spanned(abi, message));
    }
    errors
}

fn generics(generics: &Generics) -> Vec<Error> {
    let of_parameter = |parameter: &GenericParam| {
        let message = match parameter {
            GenericParam::Lifetime(_) => "a function that travels has no lifetimes: take and return owned values",
            GenericParam::Type(_) | GenericParam::Const(_) => {
                "one name stands for one function: write the types out, one function for each choice"
            }
        };
        Error::new_spanned(parameter, message)
    };
    let message = "a function that travels has nothing to put bounds on: remove the `where`";
    let of_clause = generics.where_clause.iter().map(|clause| Error::new_spanned(clause, message));
    generics.params.iter().map(of_parameter).chain(of_clause).collect()
}

fn inputs(signature: &Signature) -> Vec<Error> {
    let of_argument = |argument: &FnArg| match argument {
        FnArg::Receiver(receiver) => {
            let message = "a method cannot travel: mark a free function that takes the value as its first argument";
            vec![Error::new_spanned(receiver, message)]
        }
        FnArg::Typed(argument) => faults(&argument.ty).iter().map(argument_error).collect(),
    };
    let message = "a function that travels has a fixed number of arguments: take a `Vec<_>`";
    let of_variadic = signature.variadic.iter().map(|variadic| Error::new_spanned(variadic, message));
    signature.inputs.iter().flat_map(of_argument).chain(of_variadic).collect()
}

/// An error stays where it arose and only its text travels, so it may borrow what is static; but it needs a name.
fn output(output: &ReturnType) -> Vec<Error> {
    let ReturnType::Type(_, ty) = output else {
        return Vec::new();
    };
    let outcome = match Outcome::of(output) {
        Ok(outcome) => outcome,
        Err(error) => return vec![error],
    };
    if matches!(outcome.value(), Type::Never(_)) {
        return vec![Error::new_spanned(ty, "a function that travels comes back: return `()` instead of `!`")];
    }
    let in_value = faults(outcome.value()).into_iter().filter(|fault| fault.kind == Kind::Borrow);
    let in_all = faults(ty).into_iter().filter(|fault| fault.kind == Kind::Nameless);
    in_value.chain(in_all).map(|fault| result_error(&fault)).collect()
}

fn argument_error(fault: &Fault) -> Error {
    let message = match fault.kind {
        Kind::Borrow => OWNED_ARGUMENT,
        Kind::Nameless => NAMED_ARGUMENT,
    };
    Error::new_spanned(&fault.tokens, message)
}

fn result_error(fault: &Fault) -> Error {
    let message = match fault.kind {
        Kind::Borrow => OWNED_RESULT,
        Kind::Nameless => NAMED_RESULT,
    };
    Error::new_spanned(&fault.tokens, message)
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    fn refuses(item: &str, expected: &[&str]) {
        let errors = super::check(&parse_str(item).unwrap()).err();
        let messages: Vec<String> = errors.into_iter().flatten().map(|error| error.to_string()).collect();
        assert_eq!(messages, expected, "{item}");
    }

    fn accepts(item: &str) {
        refuses(item, &[]);
    }

    #[test]
    fn a_free_function_of_owned_values_travels() {
        accepts("fn f() {}");
        accepts("pub const fn f(a: u8, (mut b, _): (u8, u8)) -> Option<u8> { None }");
        accepts("fn f(a: Vec<PathBuf>) -> Result<(), Box<dyn Error + Send>> { Ok(()) }");
        accepts("fn f() -> Result<u8, &'static str> { Ok(1) }");
        accepts("fn f() -> Cow<'static, str> { \"a\".into() }");
    }

    #[test]
    fn what_a_worker_cannot_call_is_refused() {
        let message = "a worker calls a function and awaits nothing: remove `async` and wait in the body";
        refuses("async fn f() {}", &[message]);
        // The keyword in two parts: no file of this crate has it as a word.
        let keyword = concat!("un", "safe");
        let message = "fn` asks of its caller: mark a safe function that calls it";
        refuses(&format!("{keyword} fn f() {{}}"), &[&format!("a worker cannot keep what `{keyword} {message}")]);
        let message = "a worker calls with the ABI of Rust: remove `extern`, or mark a function that calls this one";
        refuses("extern \"C\" fn f() {}", &[message]);
        refuses("extern fn f() {}", &[message]);
    }

    #[test]
    fn a_function_that_is_many_functions_is_refused() {
        let message = "one name stands for one function: write the types out, one function for each choice";
        refuses("fn f<T>(a: T) {}", &[message]);
        refuses("fn f<const N: usize>(a: [u8; N]) {}", &[message]);
        let message = "a function that travels has no lifetimes: take and return owned values";
        refuses("fn f<'a>(a: u8) {}", &[message]);
        let message = "a function that travels has nothing to put bounds on: remove the `where`";
        refuses("fn f(a: u8) where u8: Copy {}", &[message]);
        let message = "`impl Trait` is not one type: name the type of the argument";
        refuses("fn f(a: impl Copy) {}", &[message]);
        refuses("fn f(a: Vec<impl Copy>) {}", &[message]);
    }

    #[test]
    fn arguments_are_owned() {
        let message = "arguments of a function that travels are owned: take `String`, `PathBuf`, `Vec<_>`";
        for ty in ["&str", "&Path", "&[u8]", "&'static str", "&mut Vec<u8>", "Option<&str>", "Cow<'_, str>"] {
            refuses(&format!("fn f(a: {ty}) {{}}"), &[message]);
        }
    }

    #[test]
    fn there_is_a_fixed_number_of_arguments_and_no_self() {
        let message = "a method cannot travel: mark a free function that takes the value as its first argument";
        for receiver in ["self", "&self", "mut self", "self: Box<Self>"] {
            refuses(&format!("fn f({receiver}) {{}}"), &[message]);
        }
        let message = "a function that travels has a fixed number of arguments: take a `Vec<_>`";
        refuses("fn f(a: u8, rest: ...) {}", &[message]);
    }

    #[test]
    fn the_result_is_owned_has_a_name_and_comes() {
        let message = "the result of a function that travels is owned: return `String`, `PathBuf`, `Vec<_>`";
        refuses("fn f() -> &'static str { \"a\" }", &[message]);
        refuses("fn f() -> Result<Vec<&'static str>, E> { g() }", &[message]);
        let message = "`impl Trait` is not one type: name the type of the result";
        refuses("fn f() -> impl Iterator<Item = u8> { g() }", &[message]);
        refuses("fn f() -> Result<Box<impl Copy>, E> { g() }", &[message]);
        refuses("fn f() -> Result<u8, impl Error> { g() }", &[message]);
        let message = "this `Result` does not show the type of its value: name it, as `Result<u32, MyError>`";
        refuses("fn f() -> std::fmt::Result { g() }", &[message]);
        refuses("fn f() -> ! { g() }", &["a function that travels comes back: return `()` instead of `!`"]);
    }

    #[test]
    fn all_faults_are_reported() {
        let expected = [
            "a worker calls a function and awaits nothing: remove `async` and wait in the body",
            "a function that travels has no lifetimes: take and return owned values",
            "arguments of a function that travels are owned: take `String`, `PathBuf`, `Vec<_>`",
            "the result of a function that travels is owned: return `String`, `PathBuf`, `Vec<_>`",
        ];
        refuses("async fn f<'a>(a: &'a str) -> &'a str { a }", &expected);
    }
}
