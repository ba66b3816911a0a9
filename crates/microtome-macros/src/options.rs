//! What stands in the brackets of `#[function(…)]`. Not what is done with it.
//!
//! *Invariant:* an option that is not known, or given twice, is an error: a slip of the pen is never ignored.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Lit, LitStr, Path, Result, Token, parse_quote, parse2};

const KNOWN: &str = "`crate = path` and `name = \"…\"` are known";

/// How a function is to be written.
pub(crate) struct Options {
    /// Where the items of `microtome-handler` are found.
    pub(crate) handler: Path,
    /// The name that travels, if the author gave one.
    pub(crate) name: Option<LitStr>,
}

impl Options {
    /// Reads the tokens between the brackets; none is fine.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Options> {
        let Settings(settings) = parse2(tokens)?;
        let mut handler = None;
        let mut name = None;
        for (key, setting) in settings {
            let is_second = match setting {
                Setting::Crate(path) => handler.replace(path).is_some(),
                Setting::Name(text) => name.replace(text).is_some(),
            };
            if is_second {
                return Err(Error::new(key.span(), format!("`{key}` is given twice: keep one")));
            }
        }
        Ok(Options { handler: handler.unwrap_or_else(|| parse_quote!(::microtome::handler)), name })
    }
}

struct Settings(Vec<(Ident, Setting)>);

enum Setting {
    Crate(Path),
    Name(LitStr),
}

impl Parse for Settings {
    fn parse(input: ParseStream<'_>) -> Result<Settings> {
        let settings = Punctuated::<_, Token![,]>::parse_terminated_with(input, parse_setting)?;
        Ok(Settings(settings.into_iter().collect()))
    }
}

fn parse_setting(input: ParseStream<'_>) -> Result<(Ident, Setting)> {
    let not_an_option = |error: Error| Error::new(error.span(), format!("not an option: {KNOWN}"));
    let key = input.call(Ident::parse_any).map_err(not_an_option)?;
    let parse_value = match key.to_string().as_str() {
        "crate" => parse_crate,
        "name" => parse_name,
        _ => return Err(Error::new(key.span(), format!("unknown option `{key}`: {KNOWN}"))),
    };
    if !input.peek(Token![=]) {
        return Err(Error::new(key.span(), format!("`{key}` has no value: {KNOWN}")));
    }
    input.parse::<Token![=]>()?;
    Ok((key, parse_value(input)?))
}

fn parse_crate(input: ParseStream<'_>) -> Result<Setting> {
    let no_path =
        |error: Error| Error::new(error.span(), "not a path: write `crate = microtome_handler`, without quotes");
    input.call(Path::parse_mod_style).map(Setting::Crate).map_err(no_path)
}

/// A name is one word, so that it can stand in a log or in a list of names.
fn parse_name(input: ParseStream<'_>) -> Result<Setting> {
    let message = "not a name: write a text without white space, as `name = \"segment@1\"`";
    let is_word = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    match input.parse().map_err(|error: Error| Error::new(error.span(), message))? {
        Lit::Str(name) if is_word(&name.value()) => Ok(Setting::Name(name)),
        other => Err(Error::new_spanned(other, message)),
    }
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;
    use syn::parse_str;

    use super::*;

    fn accepts(options: &str, handler: &str, name: Option<&str>) {
        let found = Options::parse(parse_str(options).unwrap()).unwrap();
        assert_eq!(found.handler.to_token_stream().to_string(), handler, "{options}");
        assert_eq!(found.name.map(|name| name.value()).as_deref(), name, "{options}");
    }

    fn refuses(options: &str, message: &str) {
        let error = Options::parse(parse_str(options).unwrap()).err();
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(message), "{options}");
    }

    #[test]
    fn options_may_stand_in_any_order_or_be_left_out() {
        accepts("", ":: microtome :: handler", None);
        accepts("crate = microtome_handler", "microtome_handler", None);
        accepts("name = \"segment@1\"", ":: microtome :: handler", Some("segment@1"));
        accepts("name = \"a\", crate = ::a::b,", ":: a :: b", Some("a"));
        accepts("crate = crate", "crate", None);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        let known = "`crate = path` and `name = \"…\"` are known";
        refuses("speed = 1", &format!("unknown option `speed`: {known}"));
        refuses("crate", &format!("`crate` has no value: {known}"));
        refuses("name(\"a\")", &format!("`name` has no value: {known}"));
        refuses("\"a\"", &format!("not an option: {known}"));
        refuses("name = \"a\", name = \"b\"", "`name` is given twice: keep one");
    }

    #[test]
    fn a_value_of_another_kind_is_refused() {
        let no_path = "not a path: write `crate = microtome_handler`, without quotes";
        refuses("crate = \"microtome_handler\"", no_path);
        refuses("crate = 1", no_path);
        let no_name = "not a name: write a text without white space, as `name = \"segment@1\"`";
        for name in ["segment", "1", "\"\"", "\"a b\"", "\"a\\n\"", "\"a\\u{7}\"", "b\"a\""] {
            refuses(&format!("name = {name}"), no_name);
        }
    }
}
