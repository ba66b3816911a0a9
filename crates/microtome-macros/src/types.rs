//! Parts of a type that no message can carry.
//!
//! Only what can be seen in the text is found. Whether serde can write a type is asked by the bounds of the trait that
//! the function gets, so function pointers, trait objects and macros are left alone here.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{GenericArgument, PathArguments, PathSegment, Type};

/// Why a part of a type cannot travel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// It points to what somebody else owns.
    Borrow,
    /// It is `impl Trait`: a type without a name.
    Nameless,
}

/// A part of a type that cannot travel.
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// The part, where it stands.
    pub(crate) tokens: TokenStream,
}

impl Fault {
    fn new(kind: Kind, part: &impl ToTokens) -> Fault {
        Fault { kind, tokens: part.to_token_stream() }
    }
}

/// All faults of `ty`, from left to right.
pub(crate) fn faults(ty: &Type) -> Vec<Fault> {
    match ty {
        Type::Reference(reference) => vec![Fault::new(Kind::Borrow, reference)],
        Type::ImplTrait(nameless) => vec![Fault::new(Kind::Nameless, nameless)],
        Type::Array(array) => faults(&array.elem),
        Type::Slice(slice) => faults(&slice.elem),
        Type::Paren(paren) => faults(&paren.elem),
        Type::Group(group) => faults(&group.elem),
        Type::Tuple(tuple) => tuple.elems.iter().flat_map(faults).collect(),
        Type::Path(path) => path.path.segments.iter().flat_map(generics).flat_map(argument_faults).collect(),
        _ => Vec::new(),
    }
}

/// What stands between `<` and `>` after `segment`.
pub(crate) fn generics(segment: &PathSegment) -> impl Iterator<Item = &GenericArgument> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        PathArguments::None | PathArguments::Parenthesized(_) => None,
    };
    arguments.into_iter().flatten()
}

/// `Cow<'static, str>` may own its text and is read back as an owner, so that lifetime is no borrow.
fn argument_faults(argument: &GenericArgument) -> Vec<Fault> {
    match argument {
        GenericArgument::Type(ty) => faults(ty),
        GenericArgument::Lifetime(lifetime) if lifetime.ident != "static" => vec![Fault::new(Kind::Borrow, lifetime)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    use super::*;

    fn check(ty: &str, expected: &[(Kind, &str)]) {
        let found = faults(&parse_str(ty).unwrap());
        let found: Vec<_> = found.iter().map(|fault| (fault.kind, fault.tokens.to_string())).collect();
        let expected: Vec<_> = expected.iter().map(|(kind, part)| (*kind, (*part).to_owned())).collect();
        assert_eq!(found, expected, "{ty}");
    }

    #[test]
    fn owned_types_have_no_fault() {
        for ty in ["u8", "()", "Vec<String>", "std::path::PathBuf", "[(u8, Option<f32>); N]", "Cow<'static, str>"] {
            check(ty, &[]);
        }
    }

    #[test]
    fn a_borrow_is_found_wherever_it_stands() {
        check("&str", &[(Kind::Borrow, "& str")]);
        check("&'static [u8]", &[(Kind::Borrow, "& 'static [u8]")]);
        check("Vec<(u8, [&str; 2])>", &[(Kind::Borrow, "& str")]);
        check("Cow<'_, str>", &[(Kind::Borrow, "'_")]);
        check("HashMap<&str, &Path>", &[(Kind::Borrow, "& str"), (Kind::Borrow, "& Path")]);
    }

    #[test]
    fn a_type_without_a_name_is_found_wherever_it_stands() {
        check("impl Iterator<Item = &u8>", &[(Kind::Nameless, "impl Iterator < Item = & u8 >")]);
        check("Option<Box<impl Fn()>>", &[(Kind::Nameless, "impl Fn ()")]);
    }

    #[test]
    fn what_serde_judges_is_left_alone() {
        for ty in ["fn(&str) -> &str", "Box<dyn Fn(&str)>", "*const u8", "[u8; A & B]"] {
            check(ty, &[]);
        }
    }
}
