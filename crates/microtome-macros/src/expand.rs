//! What is written in place of a function: a type of its name with its one value, the plain function, the registration.
//!
//! The value is a constant, not the constructor of a unit struct: `clippy --fix` takes `f(a());` on a unit struct for a
//! construction without effect and deletes the call.
//!
//! The plain function keeps its name, inside a block. So a call of itself is a plain call, an argument may be called as
//! the function is, and a backtrace shows the name that the author gave.
//!
//! *Invariant:* an attribute stands where it has its meaning: docs on the type, conditions on all that is written, all
//! that is not known here on the plain function.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{AttrStyle, Attribute, Error, FnArg, Item, ItemFn, Path, Result, Signature, Type, parse2};

use crate::check::check;
use crate::options::Options;
use crate::outcome::Outcome;

/// The whole macro: `item` made able to travel, or the errors and `item` as it was.
pub(crate) fn function(options: TokenStream, item: &TokenStream) -> TokenStream {
    try_function(options, item).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #item)
    })
}

fn try_function(options: TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let Item::Fn(function) = parse2(item.clone())? else {
        let message = "only a function can travel: put the attribute on a free `fn` with a body";
        return Err(Error::new_spanned(item, message));
    };
    check(&function)?;
    let options = Options::parse(options)?;
    let outcome = Outcome::of(&function.sig.output)?;
    Ok(write(&options, &function, &outcome))
}

fn write(options: &Options, function: &ItemFn, outcome: &Outcome) -> TokenStream {
    let ItemFn { vis, sig, block, .. } = function;
    let Attributes { conditions, of_type, of_value, of_plain } = Attributes::sort(&function.attrs);
    let (handler, name) = (&options.handler, &sig.ident);
    let deref = write_deref(sig);
    let implementation = write_function(options, sig, outcome);
    quote! {
        #(#conditions)*
        #(#of_type)*
        #[allow(non_camel_case_types, reason = "named as the function that it stands for")]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #name {}

        #(#conditions)*
        #(#of_value)*
        #[doc(hidden)]
        #[allow(non_upper_case_globals, deprecated, reason = "named as the function that it stands for, part of it")]
        #vis const #name: #name = #name {};

        #(#conditions)*
        const _: () = {
            #[allow(clippy::needless_pass_by_value, reason = "arguments that travel are owned")]
            #(#of_plain)*
            #sig #block

            #deref

            #implementation
        };

        #(#conditions)*
        #[allow(deprecated, reason = "the function may be, this is part of it")]
        const _: () = {
            #handler::__private::inventory::submit! {
                #handler::__private::Registered::new(#name, |batch| #handler::__private::run_batch(#name, batch))
            }
        };
    }
}

/// So that `name(…)` still calls the plain function.
fn write_deref(sig: &Signature) -> TokenStream {
    let Signature { ident: name, output, .. } = sig;
    let types = argument_types(sig);
    quote! {
        #[allow(deprecated, reason = "the function may be, this is part of it")]
        impl ::core::ops::Deref for #name {
            type Target = fn(#(#types),*) #output;

            fn deref(&self) -> &Self::Target {
                &(#name as Self::Target)
            }
        }
    }
}

/// So that a worker can call it.
fn write_function(options: &Options, sig: &Signature, outcome: &Outcome) -> TokenStream {
    let (handler, name) = (&options.handler, &sig.ident);
    let own_name = name.unraw().to_string();
    let path = || quote!(::core::concat!(::core::module_path!(), "::", #own_name));
    let travelling_name = options.name.as_ref().map_or_else(path, ToTokens::to_token_stream);
    let (args, values) = write_args(sig);
    let output = outcome.value();
    let call = match outcome {
        Outcome::Plain(_) => quote!(::core::result::Result::Ok(#name(#values))),
        Outcome::Fallible { error, .. } => {
            // An error that cannot be displayed is reported where its type stands, not at the attribute.
            let span = error.resolved_at(Span::call_site());
            quote_spanned!(span=> #name(#values).map_err(|__error| #handler::TaskError::failed(&__error)))
        }
    };
    quote! {
        #[allow(deprecated, reason = "the function may be, this is part of it")]
        impl #handler::Function for #name {
            const NAME: &'static str = #travelling_name;
            type Args = #args;
            type Output = #output;

            fn call(&self, __args: Self::Args) -> ::core::result::Result<Self::Output, #handler::TaskError> {
                #call
            }
        }
    }
}

/// The type of the arguments together, and each of them taken from `__args`.
fn write_args(sig: &Signature) -> (TokenStream, TokenStream) {
    let types = argument_types(sig);
    if let [only] = types[..] {
        return (quote!(#only), quote!(__args));
    }
    // A tuple that serde cannot write is reported at the arguments, not at the attribute.
    let mut tuple = Group::new(Delimiter::Parenthesis, quote!(#(#types),*));
    tuple.set_span(sig.paren_token.span.join().resolved_at(Span::call_site()));
    let fields = (0..types.len()).map(syn::Index::from);
    (tuple.into_token_stream(), quote!(#(__args.#fields),*))
}

fn argument_types(sig: &Signature) -> Vec<&Type> {
    sig.inputs.iter().filter_map(argument_type).collect()
}

fn argument_type(argument: &FnArg) -> Option<&Type> {
    match argument {
        FnArg::Typed(argument) => Some(&argument.ty),
        FnArg::Receiver(_) => None,
    }
}

/// The attributes of a function, by where they go.
#[derive(Default)]
struct Attributes {
    conditions: Vec<Attribute>,
    of_type: Vec<Attribute>,
    of_value: Vec<Attribute>,
    of_plain: Vec<Attribute>,
}

impl Attributes {
    fn sort(attributes: &[Attribute]) -> Attributes {
        let mut sorted = Attributes::default();
        for attribute in attributes {
            // `#![…]` at the top of the body is written before the function.
            let attribute = Attribute { style: AttrStyle::Outer, ..attribute.clone() };
            for place in sorted.places(attribute.path()) {
                place.push(attribute.clone());
            }
        }
        sorted
    }

    /// Where an attribute of this name goes. `expect` is a level too, but would be disappointed in all places but one.
    fn places(&mut self, name: &Path) -> Vec<&mut Vec<Attribute>> {
        let is_one_of = |names: &[&str]| names.iter().any(|known| name.is_ident(known));
        if is_one_of(&["cfg"]) {
            vec![&mut self.conditions]
        } else if is_one_of(&["doc"]) {
            vec![&mut self.of_type]
        } else if is_one_of(&["deprecated"]) {
            vec![&mut self.of_type, &mut self.of_value]
        } else if is_one_of(&["allow", "warn", "deny", "forbid"]) {
            vec![&mut self.of_type, &mut self.of_value, &mut self.of_plain]
        } else {
            vec![&mut self.of_plain]
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::{Expr, ExprBlock, File, ImplItem, ItemConst, ItemImpl, ItemStruct, Stmt, parse_str};

    use super::*;

    /// The four items that are written for a function, and what lies in the block of the third.
    struct Written {
        ty: ItemStruct,
        value: ItemConst,
        block: ItemConst,
        plain: ItemFn,
        deref: ItemImpl,
        function: ItemImpl,
        registration: ItemConst,
    }

    impl Written {
        fn parse(options: &str, item: &str) -> Written {
            let tokens = function(parse_str(options).unwrap(), &parse_str(item).unwrap());
            let file: File = parse2(tokens).unwrap();
            let [Item::Struct(ty), Item::Const(value), Item::Const(block), Item::Const(registration)] = &file.items[..]
            else {
                panic!("not a type, a value, a block and a registration: {}", text(file));
            };
            let Expr::Block(ExprBlock { block: inside, .. }) = &*block.expr else {
                panic!("not a block: {}", text(block));
            };
            let [Stmt::Item(Item::Fn(plain)), Stmt::Item(Item::Impl(deref)), Stmt::Item(Item::Impl(function))] =
                &inside.stmts[..]
            else {
                panic!("not a function and two implementations: {}", text(block));
            };
            Written {
                ty: ty.clone(),
                value: value.clone(),
                block: block.clone(),
                plain: plain.clone(),
                deref: deref.clone(),
                function: function.clone(),
                registration: registration.clone(),
            }
        }
    }

    fn text(tokens: impl ToTokens) -> String {
        tokens.to_token_stream().to_string()
    }

    /// The attributes one by one, without those that are written for every function.
    fn attributes(attributes: &[Attribute]) -> Vec<String> {
        let own = ["derive (", "doc (hidden)", "reason = "];
        let texts = attributes.iter().map(text);
        texts.filter(|text| !own.iter().any(|own| text.contains(own))).collect()
    }

    /// The value of an associated type or constant.
    fn associated(implementation: &ItemImpl, name: &str) -> String {
        let value = implementation.items.iter().find_map(|item| match item {
            ImplItem::Type(ty) if ty.ident == name => Some(text(&ty.ty)),
            ImplItem::Const(constant) if constant.ident == name => Some(text(&constant.expr)),
            _ => None,
        });
        value.unwrap_or_else(|| panic!("no {name} in {}", text(implementation)))
    }

    /// The one expression in the body of the method `name`.
    fn body(implementation: &ItemImpl, name: &str) -> String {
        let body = implementation.items.iter().find_map(|item| match item {
            ImplItem::Fn(method) if method.sig.ident == name => method.block.stmts.first().map(text),
            _ => None,
        });
        body.unwrap_or_else(|| panic!("no {name} in {}", text(implementation)))
    }

    /// `Args`, `Output`, `Target` and what `call` does.
    fn check(item: &str, expected: [&str; 4]) {
        let Written { deref, function, .. } = Written::parse("", item);
        let (args, output) = (associated(&function, "Args"), associated(&function, "Output"));
        let found = [args, output, associated(&deref, "Target"), body(&function, "call")];
        assert_eq!(found, expected, "{item}");
    }

    #[test]
    fn the_type_and_its_value_have_the_name_and_the_visibility_of_the_function() {
        let Written { ty, value, .. } = Written::parse("", "/// Counts.\npub(crate) fn count() {}");
        assert_eq!([text(&ty.vis), text(&value.vis)], ["pub (crate)", "pub (crate)"]);
        assert_eq!([text(&ty.ident), text(&ty.fields)], ["count", "{ }"]);
        assert_eq!([text(&value.ident), text(&value.ty), text(&value.expr)], ["count", "count", "count { }"]);
        assert_eq!(attributes(&ty.attrs), ["# [doc = \" Counts.\"]"]);
        assert!(text(&ty).contains("derive (:: core :: clone :: Clone , :: core :: marker :: Copy ,"));
    }

    #[test]
    fn the_plain_function_keeps_its_name_patterns_and_body_and_is_private() {
        let Written { plain, .. } =
            Written::parse("", "pub const fn f(mut a: u8, (b, _): (u8, u8)) -> u8 { a += b; a }");
        assert_eq!(text(&plain.vis), "");
        assert_eq!(text(&plain.sig), "const fn f (mut a : u8 , (b , _) : (u8 , u8)) -> u8");
        assert_eq!(text(&plain.block), "{ a += b ; a }");
    }

    #[test]
    fn no_argument_is_the_empty_tuple() {
        check("fn f() {}", ["()", "()", "fn ()", ":: core :: result :: Result :: Ok (f ())"]);
    }

    #[test]
    fn one_argument_is_itself() {
        let call = ":: core :: result :: Result :: Ok (f (__args))";
        check("fn f(a: u8) -> u16 { 1 }", ["u8", "u16", "fn (u8) -> u16", call]);
        check("fn f(a: (u8, u8)) -> u16 { 1 }", ["(u8 , u8)", "u16", "fn ((u8 , u8)) -> u16", call]);
    }

    #[test]
    fn more_arguments_are_a_tuple() {
        let call = ":: core :: result :: Result :: Ok (f (__args . 0 , __args . 1))";
        check("fn f(a: u8, _: u16,) -> u32 { 1 }", ["(u8 , u16)", "u32", "fn (u8 , u16) -> u32", call]);
    }

    #[test]
    fn the_error_of_a_result_becomes_a_failed_task() {
        let failed = ":: microtome :: handler :: TaskError :: failed (& __error)";
        let call = format!("f (__args) . map_err (| __error | {failed})");
        check("fn f(a: u8) -> Result<u16, E> { g(a) }", ["u8", "u16", "fn (u8) -> Result < u16 , E >", &call]);
        check("fn f(a: u8) -> io::Result<()> { g(a) }", ["u8", "()", "fn (u8) -> io :: Result < () >", &call]);
    }

    #[test]
    fn the_name_is_the_path_of_the_function_unless_one_is_given() {
        let name = |options, item| associated(&Written::parse(options, item).function, "NAME");
        let path = ":: core :: concat ! (:: core :: module_path ! () , \"::\" , \"f\")";
        assert_eq!(name("", "fn f() {}"), path);
        assert_eq!(name("", "fn r#match() {}"), path.replace("\"f\"", "\"match\""));
        assert_eq!(name("name = \"segment@1\"", "fn f() {}"), "\"segment@1\"");
    }

    #[test]
    fn the_crate_is_named_wherever_its_items_are() {
        let Written { function, registration, .. } = Written::parse("crate = crate::h", "fn f() {}");
        assert_eq!(text(function.trait_.unwrap().0), "crate :: h :: Function");
        let private = "crate :: h :: __private";
        let run = format!("| batch | {private} :: run_batch (f , batch)");
        let submit = format!("{private} :: inventory :: submit ! {{ {private} :: Registered :: new (f , {run}) }}");
        assert_eq!(text(registration.expr), format!("{{ {submit} }}"));
    }

    /// Where `attribute` is: on the type, the value, the block, the plain function, the registration.
    fn check_places(attribute: &str, expected: [bool; 5]) {
        let Written { ty, value, block, plain, registration, .. } =
            Written::parse("", &format!("{attribute} fn f() {{}}"));
        let places = [ty.attrs, value.attrs, block.attrs, plain.attrs, registration.attrs];
        let text = text(parse_str::<TokenStream>(attribute).unwrap());
        assert_eq!(places.map(|attrs| attributes(&attrs).contains(&text)), expected, "{attribute}");
    }

    #[test]
    fn an_attribute_is_where_it_has_its_meaning() {
        check_places("#[cfg(unix)]", [true, true, true, false, true]);
        check_places("#[doc = \"a\"]", [true, false, false, false, false]);
        check_places("#[deprecated]", [true, true, false, false, false]);
        check_places("#[allow(lint)]", [true, true, false, true, false]);
        check_places("#[expect(lint)]", [false, false, false, true, false]);
        check_places("#[inline]", [false, false, false, true, false]);
        check_places("#[tracing::instrument]", [false, false, false, true, false]);
    }

    #[test]
    fn an_attribute_inside_the_body_is_before_the_plain_function() {
        let Written { plain, .. } = Written::parse("", "fn f() { #![inline] g() }");
        assert_eq!(attributes(&plain.attrs), ["# [inline]"]);
        assert_eq!(text(&plain.block), "{ g () }");
    }

    #[test]
    fn a_refused_item_is_kept_behind_its_error() {
        let check = |item: &str| {
            let item = parse_str(item).unwrap();
            let message = "only a function can travel: put the attribute on a free `fn` with a body";
            let expected = format!(":: core :: compile_error ! {{ \"{message}\" }} {item}");
            assert_eq!(function(TokenStream::new(), &item).to_string(), expected);
        };
        for item in ["struct Cells;", "impl Cells {}", "fn f();", "mod m {}"] {
            check(item);
        }
    }
}
