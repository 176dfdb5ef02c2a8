//! From the tree to what is written: an element, an attribute, a value is written because a list has it, never because
//! no list forbids it.

use html5ever::{Attribute, ns};

use crate::elements::{Fate, Form, fate, form, is_void};
use crate::images::Images;
use crate::link;
use crate::prefixed;
use crate::style;
use crate::tree::{DOCUMENT, Kind, Node, Place};

/// Bytes that may be written.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

/// What is written of a document.
#[derive(Default, PartialEq, Eq)]
pub struct Written {
    /// The `body` element with all that is in it.
    pub body: String,
    /// The style sheets of the document.
    pub sheet: String,
}

/// How what is below an element is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Elements,
    TextOnly,
}

enum Step {
    Enter(Place, Mode),
    Leave(&'static str),
}

/// Writes what the lists allow. True beside it when not everything fitted.
pub fn write(nodes: &[Node], images: &mut Images<'_>) -> (Written, bool) {
    let mut writer = Writer { nodes, images, written: Written::default(), has_body: false };
    let is_whole = writer.run();
    (writer.written, !is_whole)
}

struct Writer<'n, 'i, 'a> {
    nodes: &'n [Node],
    images: &'i mut Images<'a>,
    written: Written,
    has_body: bool,
}

impl Writer<'_, '_, '_> {
    fn run(&mut self) -> bool {
        let mut steps = vec![Step::Enter(DOCUMENT, Mode::Elements)];
        let mut is_whole = true;
        while let Some(step) = steps.pop() {
            if self.written.body.len() > OUTPUT_BYTES_MAX {
                is_whole = false;
                steps.retain(|step| matches!(step, Step::Leave(_)));
            }
            match step {
                Step::Enter(place, mode) if is_whole => self.enter(place, mode, &mut steps),
                Step::Enter(..) => {}
                Step::Leave(name) => self.written.body.push_str(&format!("</{name}>")),
            }
        }
        is_whole
    }

    fn enter(&mut self, place: Place, mode: Mode, steps: &mut Vec<Step>) {
        match &self.nodes[place].kind {
            Kind::Document => self.children(place, mode, steps),
            Kind::Other => {}
            // Text outside the body is the blanks between head and body.
            Kind::Text(text) if self.has_body => escape_text(text, &mut self.written.body),
            Kind::Text(_) => {}
            Kind::Element { name, attributes } => {
                let fate = match (name.ns == ns!(html), mode) {
                    (true, Mode::Elements) => fate(&name.local),
                    // Of SVG and MathML, and of what they embed, the text alone is left.
                    (false, _)
                        if matches!(&*name.local, "style" | "script" | "title" | "desc" | "metadata") =>
                    {
                        Fate::Dropped
                    }
                    (true, Mode::TextOnly) if matches!(fate(&name.local), Fate::Dropped | Fate::Sheet) => {
                        Fate::Dropped
                    }
                    _ => Fate::TextOnly,
                };
                self.element(place, fate, attributes, mode, steps);
            }
        }
    }

    fn element(
        &mut self,
        place: Place,
        fate: Fate,
        attributes: &[Attribute],
        mode: Mode,
        steps: &mut Vec<Step>,
    ) {
        match fate {
            Fate::Dropped if self.is_head(place) => self.sheets_of(place),
            Fate::Dropped => {}
            Fate::Sheet => self.sheet(place),
            Fate::Unwrapped => self.children(place, mode, steps),
            Fate::TextOnly => self.children(place, Mode::TextOnly, steps),
            Fate::Kept("body") if self.has_body => self.children(place, mode, steps),
            Fate::Kept(name) => {
                self.has_body |= name == "body";
                if !self.has_body {
                    return;
                }
                self.open(name, attributes);
                if is_void(name) {
                    return;
                }
                if name == "pre" && self.begins_with_newline(place) {
                    self.written.body.push('\n'); // parsers leave out the first
                }
                steps.push(Step::Leave(name));
                self.children(place, mode, steps);
            }
        }
    }

    fn children(&self, place: Place, mode: Mode, steps: &mut Vec<Step>) {
        let from = steps.len();
        let mut child = self.nodes[place].first_child;
        while let Some(place) = child {
            steps.push(Step::Enter(place, mode));
            child = self.nodes[place].next;
        }
        steps[from..].reverse();
    }

    fn is_head(&self, place: Place) -> bool {
        matches!(&self.nodes[place].kind, Kind::Element { name, .. } if name.ns == ns!(html) && &*name.local == "head")
    }

    fn sheets_of(&mut self, head: Place) {
        let mut child = self.nodes[head].first_child;
        while let Some(place) = child {
            if matches!(&self.nodes[place].kind, Kind::Element { name, .. } if name.ns == ns!(html) && &*name.local == "style")
            {
                self.sheet(place);
            }
            child = self.nodes[place].next;
        }
    }

    fn sheet(&mut self, place: Place) {
        let Some(child) = self.nodes[place].first_child else { return };
        let Kind::Text(css) = &self.nodes[child].kind else { return };
        let clean = style::sheet(css, self.images);
        // What is written has no escape of these; were there one, HTML could read it as its own.
        if !clean.contains(['<', '&']) && self.written.sheet.len() + clean.len() <= style::SHEET_BYTES_MAX {
            self.written.sheet.push_str(&clean);
        }
    }

    fn begins_with_newline(&self, place: Place) -> bool {
        let first = self.nodes[place].first_child.map(|child| &self.nodes[child].kind);
        matches!(first, Some(Kind::Text(text)) if text.starts_with('\n'))
    }

    fn open(&mut self, name: &'static str, attributes: &[Attribute]) {
        self.written.body.push('<');
        self.written.body.push_str(name);
        let mut link = None;
        for one in attributes.iter().filter(|one| one.name.ns == ns!()) {
            let Some(form) = form(name, &one.name.local) else { continue };
            let Some(value) = self.value(form, &one.value) else { continue };
            if form == Form::Colour {
                self.images.note_colours(&one.name.local);
            }
            if form == Form::Link {
                link = Some(value);
                continue;
            }
            self.attribute(&one.name.local, &value);
        }
        if let Some(link) = link {
            self.link(&link);
        }
        self.written.body.push('>');
    }

    /// A link leads out of the frame, tells nobody where it was, and shows where it leads.
    fn link(&mut self, to: &str) {
        self.attribute("href", to);
        if !to.starts_with('#') {
            self.attribute("target", "_blank");
            self.attribute("rel", "noopener noreferrer nofollow");
            let shown: String = to.chars().take(300).collect();
            self.attribute("title", &shown);
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let body = &mut self.written.body;
        body.push(' ');
        body.push_str(name);
        body.push_str("=\"");
        escape_attribute(value, body);
        body.push('"');
    }

    /// The value as it is written, or None when it has not its form.
    fn value(&mut self, form: Form, value: &str) -> Option<String> {
        let is = |most: usize, allowed: fn(u8) -> bool| value.len() <= most && value.bytes().all(allowed);
        let as_it_is = || value.to_owned();
        match form {
            Form::Text => Some(value.chars().filter(|one| !one.is_control()).take(1_000).collect()),
            Form::Words => is(200, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b' '))
                .then(as_it_is),
            Form::Name => name(value),
            Form::Length => {
                let digits = value.trim_end_matches("px").trim_end_matches('%');
                let is_number = !digits.is_empty()
                    && digits.len() <= 5
                    && digits.bytes().all(|byte| byte.is_ascii_digit());
                (is_number && value.len() <= digits.len() + 2).then(as_it_is)
            }
            Form::Count => {
                value.parse::<u16>().ok().filter(|count| *count <= 1000).map(|count| count.to_string())
            }
            Form::Colour => is(32, |byte| byte.is_ascii_alphanumeric() || byte == b'#').then(as_it_is),
            Form::Style => Some(style::attribute(value, self.images)).filter(|css| !css.is_empty()),
            Form::Link => match link::fragment(value) {
                Some(fragment) => name(fragment).map(|name| format!("#{name}")),
                None => link::target(value),
            },
            Form::Image => self.images.address(value),
        }
    }
}

fn name(value: &str) -> Option<String> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    (is_plain && !value.is_empty() && value.len() <= 100).then(|| prefixed(value))
}

/// Text as HTML. Characters that no document may contain are left out.
pub fn escape_text(text: &str, written: &mut String) {
    for one in text.chars() {
        match one {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '\r' => written.push('\n'),
            _ if is_forbidden(one) => {}
            _ => written.push(one),
        }
    }
}

/// The same inside of quotation marks.
pub fn escape_attribute(text: &str, written: &mut String) {
    for one in text.chars() {
        match one {
            '&' => written.push_str("&amp;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            '`' => written.push_str("&#96;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '\r' => written.push('\n'),
            _ if is_forbidden(one) => {}
            _ => written.push(one),
        }
    }
}

fn is_forbidden(one: char) -> bool {
    matches!(one, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}')
        || u32::from(one) & 0xfffe == 0xfffe
}
