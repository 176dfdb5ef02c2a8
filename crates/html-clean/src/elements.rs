//! What of HTML a message may use: the list of elements, and of attributes with the form of their values. What is not here
//! is not written. No element whose text browsers read by rules of its own (script, style, textarea, xmp, ...) is, no SVG, no
//! MathML, nothing that loads, sends or embeds but `img`.

/// What becomes of an element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is written, under this name.
    Kept(&'static str),
    /// What it contains is written in its place.
    Unwrapped,
    /// Of all that it contains the text alone is.
    TextOnly,
    /// Nothing is.
    Dropped,
    /// A style sheet.
    Sheet,
}

/// The elements that are written, in order.
const KEPT: [&str; 84] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "q",
    "rb",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
    "nobr",
    "hgroup",
    "data",
    "rtc",
    "search",
    "listing",
];

/// Elements whose content is no text for readers.
const DROPPED: [&str; 20] = [
    "script", "template", "title", "iframe", "noembed", "noframes", "object", "applet", "embed", "audio",
    "video", "canvas", "meta", "link", "base", "frame", "frameset", "input", "datalist", "head",
];

/// What becomes of an HTML element of this name.
pub fn fate(name: &str) -> Fate {
    if let Some(known) = KEPT.iter().find(|known| **known == name) {
        return match *known {
            // Formatting that no standard keeps, and whose nesting parsers treat in ways of their own.
            "nobr" | "data" | "rb" | "rtc" | "listing" => Fate::Unwrapped,
            known => Fate::Kept(known),
        };
    }
    match name {
        "style" => Fate::Sheet,
        "textarea" | "select" | "xmp" | "plaintext" => Fate::TextOnly,
        _ if DROPPED.contains(&name) => Fate::Dropped,
        _ => Fate::Unwrapped,
    }
}

/// Whether an element has no end tag.
pub fn is_void(name: &str) -> bool {
    matches!(name, "br" | "hr" | "img" | "col" | "wbr")
}

/// The form that an attribute's value must have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any text, shown to the reader.
    Text,
    /// Words of letters, digits and hyphens.
    Words,
    /// A name that gets a prefix, so that it can mean nothing outside the message.
    Name,
    /// Declarations of CSS.
    Style,
    /// A number, perhaps with `%` or `px`.
    Length,
    /// A number up to 1000.
    Count,
    /// A colour's name or number.
    Colour,
    /// Where a link leads.
    Link,
    /// An image's address.
    Image,
}

/// The form of an attribute of an element. None: it is not written.
pub fn form(element: &str, attribute: &str) -> Option<Form> {
    let cell = matches!(element, "td" | "th");
    let row = matches!(element, "tr" | "tbody" | "thead" | "tfoot");
    let column = matches!(element, "col" | "colgroup");
    let table = element == "table";
    Some(match attribute {
        "style" => Form::Style,
        "class" | "dir" | "lang" | "align" | "valign" => Form::Words,
        "id" => Form::Name,
        "title" if element != "a" => Form::Text,
        "href" if element == "a" => Form::Link,
        "name" if element == "a" => Form::Name,
        "src" if element == "img" => Form::Image,
        "alt" if element == "img" => Form::Text,
        "background" if table || cell || element == "body" => Form::Image,
        "width" | "height" if table || cell || column || row || matches!(element, "img" | "hr") => {
            Form::Length
        }
        "border" | "cellpadding" | "cellspacing" if table || element == "img" => Form::Length,
        "hspace" | "vspace" if element == "img" => Form::Length,
        "size" if matches!(element, "font" | "hr") => Form::Length,
        "bgcolor" if table || cell || row || element == "body" => Form::Colour,
        "text" | "link" | "vlink" | "alink" if element == "body" => Form::Colour,
        "color" if matches!(element, "font" | "hr") => Form::Colour,
        "colspan" | "rowspan" if cell => Form::Count,
        "span" if column => Form::Count,
        "start" if element == "ol" => Form::Count,
        "value" if element == "li" => Form::Count,
        "nowrap" | "scope" if cell => Form::Words,
        "noshade" if element == "hr" => Form::Words,
        "reversed" if element == "ol" => Form::Words,
        "clear" if element == "br" => Form::Words,
        "type" if matches!(element, "ol" | "ul" | "li") => Form::Words,
        "face" if element == "font" => Form::Text,
        "abbr" if element == "th" => Form::Text,
        _ => return None,
    })
}
