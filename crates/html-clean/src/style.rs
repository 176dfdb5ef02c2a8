//! CSS of messages: parsed as browsers do (CSS Syntax 3, by cssparser), written anew from a list of properties, functions and
//! units. Nothing that moves a box out of the flow, lies over another, animates, generates content, counts on the size of
//! the window, or loads: url() becomes what the images' rewriter made of it, or `none`.

use cssparser::{
    AtRuleParser, CowRcStr, DeclarationParser, ParseError, Parser, ParserState, QualifiedRuleParser,
    RuleBodyItemParser, RuleBodyParser, StyleSheetParser, ToCss, Token, parse_important,
};

use crate::images::Images;

/// Bytes of all style sheets of a message, and of one style attribute.
pub const SHEET_BYTES_MAX: usize = 256 << 10;
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;
/// The largest number: no page needs more pixels.
const NUMBER_MAX: f32 = 10_000.0;
/// Blocks inside each other.
const NESTING_MAX: u8 = 8;

/// The declarations of a style attribute, written anew; empty when none is left.
pub fn attribute(css: &str, images: &mut Images<'_>) -> String {
    if css.len() > ATTRIBUTE_BYTES_MAX {
        return String::new();
    }
    let mut parser = Parser::new(css);
    parser.set_nested_block_limit(NESTING_MAX);
    block(&mut parser, images)
}

/// A style sheet, written anew.
pub fn sheet(css: &str, images: &mut Images<'_>) -> String {
    if css.len() > SHEET_BYTES_MAX {
        return String::new();
    }
    let mut parser = Parser::new(css);
    parser.set_nested_block_limit(NESTING_MAX);
    rules(&mut parser, images, 0)
}

fn rules<'i>(parser: &mut Parser<'i>, images: &mut Images<'_>, depth: u8) -> String {
    let mut written = String::new();
    let mut reader = Rules { images, depth };
    for rule in StyleSheetParser::new(parser, &mut reader).flatten() {
        written.push_str(&rule);
    }
    written
}

fn block(parser: &mut Parser<'_>, images: &mut Images<'_>) -> String {
    let mut written = String::new();
    let mut reader = Declarations { images };
    for one in RuleBodyParser::new(parser, &mut reader).flatten() {
        written.push_str(&one);
    }
    written
}

type Refused = ParseError<()>;

fn refused<T>() -> Result<T, Refused> {
    Err(ParseError::unexpected_token())
}

struct Rules<'r, 'a> {
    images: &'r mut Images<'a>,
    depth: u8,
}

impl<'i> AtRuleParser<'i> for Rules<'_, '_> {
    type Prelude = String;
    type AtRule = String;
    type Error = ();

    /// `@media` alone: every other at-rule loads, names or animates.
    fn parse_prelude(&mut self, name: CowRcStr<'i>, input: &mut Parser<'i>) -> Result<String, Refused> {
        if !name.eq_ignore_ascii_case("media") || self.depth > 2 {
            return refused();
        }
        condition(input)
    }

    fn parse_block(
        &mut self,
        prelude: String,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Result<String, Refused> {
        let inner = rules(input, self.images, self.depth + 1);
        if inner.is_empty() { refused() } else { Ok(format!("@media {prelude}{{{inner}}}")) }
    }
}

impl<'i> QualifiedRuleParser<'i> for Rules<'_, '_> {
    type Prelude = String;
    type QualifiedRule = String;
    type Error = ();

    fn parse_prelude(&mut self, input: &mut Parser<'i>) -> Result<String, Refused> {
        selectors(input)
    }

    fn parse_block(
        &mut self,
        prelude: String,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Result<String, Refused> {
        let inner = block(input, self.images);
        if inner.is_empty() { refused() } else { Ok(format!("{prelude}{{{inner}}}")) }
    }
}

struct Declarations<'r, 'a> {
    images: &'r mut Images<'a>,
}

impl<'i> DeclarationParser<'i> for Declarations<'_, '_> {
    type Declaration = String;
    type Error = ();

    fn parse_value(
        &mut self,
        name: CowRcStr<'i>,
        input: &mut Parser<'i>,
        _: &ParserState,
    ) -> Result<String, Refused> {
        let name = name.to_ascii_lowercase();
        if !is_property(&name) {
            return refused();
        }
        let mut value = String::new();
        let mut important = "";
        while !input.is_exhausted() {
            if input.try_parse(parse_important).is_ok() {
                important = "!important";
                input.expect_exhausted().map_err(ParseError::from)?;
                break;
            }
            component(&name, input, &mut value, self.images)?;
        }
        if value.is_empty() || !is_allowed_value(&name, &value) {
            return refused();
        }
        self.images.note_colours(&name);
        Ok(format!("{name}:{value}{important};"))
    }
}

impl<'i> AtRuleParser<'i> for Declarations<'_, '_> {
    type Prelude = ();
    type AtRule = String;
    type Error = ();
}

impl<'i> QualifiedRuleParser<'i> for Declarations<'_, '_> {
    type Prelude = ();
    type QualifiedRule = String;
    type Error = ();
}

impl<'i> RuleBodyItemParser<'i, String, ()> for Declarations<'_, '_> {
    fn parse_declarations(&self) -> bool {
        true
    }

    fn parse_qualified(&self) -> bool {
        false
    }
}

/// Whether a property may be set.
fn is_property(name: &str) -> bool {
    const WHOLE: [&str; 62] = [
        "background",
        "background-color",
        "background-image",
        "background-position",
        "background-repeat",
        "background-size",
        "border-collapse",
        "border-spacing",
        "border-radius",
        "box-shadow",
        "box-sizing",
        "caption-side",
        "clear",
        "color",
        "color-scheme",
        "direction",
        "display",
        "empty-cells",
        "float",
        "font",
        "font-family",
        "font-size",
        "font-stretch",
        "font-style",
        "font-variant",
        "font-weight",
        "height",
        "hyphens",
        "letter-spacing",
        "line-height",
        "list-style",
        "list-style-image",
        "list-style-position",
        "list-style-type",
        "margin",
        "max-height",
        "max-width",
        "min-height",
        "min-width",
        "opacity",
        "overflow",
        "overflow-wrap",
        "padding",
        "table-layout",
        "text-align",
        "text-decoration",
        "text-decoration-color",
        "text-decoration-line",
        "text-decoration-style",
        "text-indent",
        "text-shadow",
        "text-transform",
        "unicode-bidi",
        "vertical-align",
        "visibility",
        "white-space",
        "width",
        "word-break",
        "word-spacing",
        "word-wrap",
        "border",
        "gap",
    ];
    const SIDES: [&str; 4] = ["top", "right", "bottom", "left"];
    if WHOLE.contains(&name) {
        return true;
    }
    let Some((start, rest)) = name.split_once('-') else { return false };
    match start {
        "margin" | "padding" => SIDES.contains(&rest),
        "border" => {
            let part = |part: &str| matches!(part, "width" | "style" | "color");
            let corner = |name: &str| {
                matches!(
                    name,
                    "top-left-radius" | "top-right-radius" | "bottom-left-radius" | "bottom-right-radius"
                )
            };
            match rest.split_once('-') {
                None => SIDES.contains(&rest) || part(rest),
                Some((side, rest_of)) => (SIDES.contains(&side) && part(rest_of)) || corner(rest),
            }
        }
        _ => false,
    }
}

/// Values that are not of use to a message although their tokens are allowed.
fn is_allowed_value(name: &str, value: &str) -> bool {
    match name {
        "display" => value.split(' ').all(|word| {
            matches!(
                word,
                "block"
                    | "inline"
                    | "inline-block"
                    | "none"
                    | "list-item"
                    | "flow-root"
                    | "inline-table"
                    | "initial"
                    | "inherit"
            ) || word.starts_with("table")
        }),
        "overflow" => matches!(value, "hidden" | "visible" | "auto"),
        _ => true,
    }
}

fn takes_images(property: &str) -> bool {
    matches!(property, "background" | "background-image" | "list-style" | "list-style-image")
}

fn takes_strings(property: &str) -> bool {
    matches!(property, "font" | "font-family")
}

/// One component of a value, with a blank before it where one separates.
fn component(
    property: &str,
    input: &mut Parser<'_>,
    written: &mut String,
    images: &mut Images<'_>,
) -> Result<(), Refused> {
    let token = input.next()?.clone();
    if !matches!(token, Token::Comma) && !written.is_empty() && !written.ends_with(['(', ',']) {
        written.push(' ');
    }
    match &token {
        Token::Comma => written.push(','),
        Token::Delim('/') => written.push('/'),
        Token::Ident(name) if is_plain(name) => written.push_str(&name.to_ascii_lowercase()),
        Token::Hash(digits) | Token::IDHash(digits) => {
            if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return refused();
            }
            written.push('#');
            written.push_str(digits);
        }
        Token::Number { value, .. } => number(*value, &token, written)?,
        Token::Percentage { unit_value, .. } => number(*unit_value, &token, written)?,
        Token::Dimension { value, unit, .. } if is_unit(unit, property) => number(*value, &token, written)?,
        Token::QuotedString(text) if takes_strings(property) => string(text, written),
        Token::UnquotedUrl(address) if takes_images(property) => url(address, written, images),
        Token::Function(name) => function(&name.to_ascii_lowercase(), property, input, written, images)?,
        _ => return refused(),
    }
    Ok(())
}

fn function(
    name: &str,
    property: &str,
    input: &mut Parser<'_>,
    written: &mut String,
    images: &mut Images<'_>,
) -> Result<(), Refused> {
    if name == "url" {
        if !takes_images(property) {
            return refused();
        }
        return input.parse_nested_block(|input| {
            let address = input.expect_string_cloned()?;
            input.expect_exhausted()?;
            url(&address, written, images);
            Ok(())
        });
    }
    let known = ["rgb", "rgba", "hsl", "hsla", "hwb", "linear-gradient", "radial-gradient"];
    if !known.contains(&name) {
        return refused();
    }
    written.push_str(name);
    written.push('(');
    input.parse_nested_block(|input| {
        while !input.is_exhausted() {
            component(property, input, written, images)?;
        }
        Ok(())
    })?;
    written.push(')');
    Ok(())
}

fn number(value: f32, token: &Token<'_>, written: &mut String) -> Result<(), Refused> {
    if !value.is_finite() || value.abs() > NUMBER_MAX {
        return refused();
    }
    token.to_css(written).or_else(|_| refused())
}

/// An address in url(): what the rewriter made of it is written, or that there is no image.
fn url(address: &str, written: &mut String, images: &mut Images<'_>) {
    match images.address(address) {
        // Only characters that mean nothing in a string of CSS: link.rs.
        Some(own) => written.push_str(&format!("url(\"{own}\")")),
        None => written.push_str("none"),
    }
}

/// The units of a page. Those of the window's height would make a frame grow that is as high as its content.
fn is_unit(unit: &str, property: &str) -> bool {
    let unit = unit.to_ascii_lowercase();
    match unit.as_str() {
        "px" | "em" | "rem" | "ex" | "ch" | "pt" | "pc" | "in" | "cm" | "mm" | "deg" => true,
        "vw" => property.ends_with("width") || property == "font-size",
        _ => false,
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A string; all that could mean something, to CSS or to HTML, as an escape.
fn string(text: &str, written: &mut String) {
    written.push('"');
    for one in text.chars().take(200) {
        if one.is_alphanumeric() || matches!(one, ' ' | '-' | '_' | '.' | ',') {
            written.push(one);
        } else {
            written.push_str(&format!("\\{:x} ", u32::from(one)));
        }
    }
    written.push('"');
}

/// The selectors of a rule that are understood; none: the rule is left out.
fn selectors(input: &mut Parser<'_>) -> Result<String, Refused> {
    let mut known = Vec::new();
    let mut one = Some(String::new());
    while let Ok(token) = input.next_including_whitespace() {
        let token = token.clone();
        if matches!(token, Token::Comma) {
            known.extend(one.replace(String::new()));
            continue;
        }
        if let Token::Function(_)
        | Token::ParenthesisBlock
        | Token::SquareBracketBlock
        | Token::CurlyBracketBlock = token
        {
            one = None; // what it holds is skipped by the next call
            continue;
        }
        if let Some(mut text) = one.take() {
            one = compound(&token, input, &mut text).then_some(text);
        }
    }
    known.extend(one);
    let known: Vec<&str> = known.iter().map(|one| one.trim()).filter(|one| !one.is_empty()).collect();
    if known.is_empty() { refused() } else { Ok(known.join(",")) }
}

/// One token of a selector; false when the selector is not understood.
fn compound(token: &Token<'_>, input: &mut Parser<'_>, written: &mut String) -> bool {
    match token {
        Token::WhiteSpace(_) => written.push(' '),
        Token::Ident(name) if is_plain(name) => written.push_str(name),
        Token::IDHash(name) if is_plain(name) => written.push_str(&format!("#{}", crate::prefixed(name))),
        Token::Delim(one @ ('*' | '>' | '+' | '~')) => written.push(*one),
        Token::Delim('.') => match input.next_including_whitespace() {
            Ok(Token::Ident(name)) if is_plain(name) => written.push_str(&format!(".{name}")),
            _ => return false,
        },
        Token::Colon => match input.next_including_whitespace() {
            Ok(Token::Ident(name)) if is_pseudo(name) => {
                written.push_str(&format!(":{}", name.to_ascii_lowercase()))
            }
            _ => return false,
        },
        _ => return false,
    }
    true
}

fn is_pseudo(name: &str) -> bool {
    ["link", "visited", "hover", "active", "focus", "first-child", "last-child", "only-child"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// The condition of `@media`.
fn condition(input: &mut Parser<'_>) -> Result<String, Refused> {
    let mut written = String::new();
    while !input.is_exhausted() {
        let token = input.next()?.clone();
        if !written.is_empty()
            && !matches!(token, Token::Comma | Token::Colon)
            && !written.ends_with(['(', ':', ','])
        {
            written.push(' ');
        }
        match &token {
            Token::Ident(name) if is_plain(name) => written.push_str(&name.to_ascii_lowercase()),
            Token::Comma => written.push(','),
            Token::Colon => written.push(':'),
            Token::Number { value, .. } => number(*value, &token, &mut written)?,
            Token::Dimension { value, unit, .. } if is_unit(unit, "width") => {
                number(*value, &token, &mut written)?
            }
            Token::ParenthesisBlock => {
                let inner = input.parse_nested_block(condition)?;
                written.push_str(&format!("({inner})"));
            }
            _ => return refused(),
        }
    }
    Ok(written)
}
