//! What a return type means to the one who waits for the result.
//!
//! *Invariant:* the answer depends on the text alone: `Result` is known by its name, so an alias with another name is a
//! plain value.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, Result, ReturnType, Type, parse_quote};

use crate::types::generics;

/// What comes back from a call.
pub(crate) enum Outcome {
    /// The value as it is.
    Plain(Type),
    /// The value of an `Ok`; an `Err` fails the item.
    Fallible {
        value: Type,
        /// Where the type of the error stands, or the return type if it hides that.
        error: Span,
    },
}

impl Outcome {
    /// Reads a return type.
    ///
    /// # Errors
    /// If it is a `Result` that does not show the type of its value, as `std::fmt::Result`.
    pub(crate) fn of(output: &ReturnType) -> Result<Outcome> {
        let ReturnType::Type(_, ty) = output else {
            return Ok(Outcome::Plain(parse_quote!(())));
        };
        let Type::Path(path) = bare(ty) else {
            return Ok(Outcome::Plain((**ty).clone()));
        };
        let Some(last) = path.path.segments.last().filter(|last| last.ident == "Result") else {
            return Ok(Outcome::Plain((**ty).clone()));
        };
        let mut types = generics(last).filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        });
        let message = "this `Result` does not show the type of its value: name it, as `Result<u32, MyError>`";
        let value = types.next().ok_or_else(|| Error::new_spanned(path, message))?.clone();
        Ok(Outcome::Fallible { value, error: types.next().map_or_else(|| path.span(), Spanned::span) })
    }

    /// The type that travels back.
    pub(crate) fn value(&self) -> &Type {
        match self {
            Outcome::Plain(value) | Outcome::Fallible { value, .. } => value,
        }
    }
}

/// `ty` without the brackets, seen or unseen, that macros put around a type.
fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        _ => ty,
    }
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;
    use syn::parse_str;

    use super::*;

    fn check(output: &str, expected: &str) {
        let found = match Outcome::of(&parse_str(output).unwrap()) {
            Ok(Outcome::Plain(value)) => format!("plain {}", value.to_token_stream()),
            Ok(Outcome::Fallible { value, .. }) => format!("fallible {}", value.to_token_stream()),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{output}");
    }

    #[test]
    fn the_first_type_of_a_result_is_the_value() {
        check("-> Result<u32, MyError>", "fallible u32");
        check("-> Result<()>", "fallible ()");
        check("-> anyhow::Result<Vec<u8>>", "fallible Vec < u8 >");
        check("-> ::std::io::Result<u8>", "fallible u8");
        check("-> (Result<u8, E>)", "fallible u8");
        check("-> Result<'static, u8>", "fallible u8");
    }

    #[test]
    fn every_other_return_type_is_the_value() {
        check("", "plain ()");
        check("-> u32", "plain u32");
        check("-> Option<Result<u8, E>>", "plain Option < Result < u8 , E > >");
        check("-> Outcome<u8>", "plain Outcome < u8 >");
        check("-> (Result<u8, E>, u8)", "plain (Result < u8 , E > , u8)");
    }

    #[test]
    fn a_result_that_hides_its_value_is_an_error() {
        let message = "this `Result` does not show the type of its value: name it, as `Result<u32, MyError>`";
        check("-> std::fmt::Result", message);
        check("-> Result", message);
        check("-> <M as Message>::Result", message);
    }
}
