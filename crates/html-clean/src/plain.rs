//! HTML as plain text: for replies, for the lines below a subject, and for what cannot be shown otherwise.

use html5ever::ns;

use crate::elements::{Fate, fate};
use crate::parse::{Deadline, TIME_MAX, parse};
use crate::tree::{DOCUMENT, Kind, Node, Place};

/// Bytes of text that are written.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Bytes of a line's marks of quotation, and of the indents of lists.
const PREFIX_BYTES_MAX: usize = 64;

enum Step {
    Enter(Place),
    /// The end of a block, and how long the marks before each line are now.
    Leave {
        blank: bool,
        prefix: usize,
        pre: bool,
    },
    /// The end of a link that is worth being written.
    Address(String, usize),
}

/// What is left of HTML without what stands in angle brackets, in time of its length alone: for messages that take too long to
/// be read as they should be.
pub fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once('<') {
        text.push_str(before);
        let Some((tag, behind)) = behind.split_once('>') else { return with_characters(&text) };
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).take(16).collect();
        rest = behind;
        if matches!(name.to_ascii_lowercase().as_str(), "style" | "script") {
            // The end of either is the next end tag of any kind: neither holds one that counts.
            rest = behind
                .split_once("</")
                .map_or("", |(_, end)| end.split_once('>').map_or("", |(_, rest)| rest));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text.push_str(rest);
    with_characters(&text)
}

/// The references that stand for what HTML itself is made of; a text is written with no others that matter.
fn with_characters(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&nbsp;", " ");
    plain.replace("&amp;", "&").trim().to_owned()
}

/// The text of a message's HTML: blocks as lines, paragraphs apart, quotations with `>`, links with their address.
pub fn to_text(html: &str) -> String {
    let nodes = parse(html, Deadline::after(TIME_MAX)).nodes;
    let mut writer = Writer {
        nodes: &nodes,
        text: String::new(),
        prefix: String::new(),
        between: usize::MAX,
        pending: 0,
        blank: false,
        pre: 0,
    };
    writer.run();
    writer.text.truncate(writer.text.trim_end().len());
    writer.text
}

struct Writer<'n> {
    nodes: &'n [Node],
    text: String,
    /// Before each line.
    prefix: String,
    /// How much of it stands before the lines that are left free.
    between: usize,
    /// Line ends that are due before the next text.
    pending: usize,
    /// Whether a blank is due before the next word.
    blank: bool,
    /// Elements open whose blanks count.
    pre: usize,
}

impl Writer<'_> {
    fn run(&mut self) {
        let mut steps = vec![Step::Enter(DOCUMENT)];
        while let Some(step) = steps.pop() {
            if self.text.len() > TEXT_BYTES_MAX {
                return;
            }
            match step {
                Step::Enter(place) => self.enter(place, &mut steps),
                Step::Leave { blank, prefix, pre } => {
                    self.end_line(if blank { 2 } else { 1 });
                    self.prefix.truncate(prefix);
                    self.between = self.between.min(prefix);
                    self.pre -= usize::from(pre);
                }
                Step::Address(address, from) => {
                    let shown = self.text.get(from..).unwrap_or_default().trim().to_owned();
                    if !shown.is_empty() && !address.contains(shown.trim_end_matches('/')) {
                        self.word(&format!(" <{address}>"));
                    }
                }
            }
        }
    }

    fn enter(&mut self, place: Place, steps: &mut Vec<Step>) {
        match &self.nodes[place].kind {
            Kind::Other => {}
            Kind::Document => self.children(place, steps),
            Kind::Text(text) if self.pre > 0 => self.lines(text),
            Kind::Text(text) => self.words(text),
            Kind::Element { name, .. } => {
                let is_html = name.ns == ns!(html);
                let hidden = matches!(&*name.local, "style" | "script" | "title" | "head" | "metadata");
                if hidden || (is_html && matches!(fate(&name.local), Fate::Dropped | Fate::Sheet)) {
                    return;
                }
                self.element(place, if is_html { &name.local } else { "" }, steps);
            }
        }
    }

    fn element(&mut self, place: Place, name: &str, steps: &mut Vec<Step>) {
        let before = self.prefix.len();
        match name {
            "br" => self.pending = (self.pending + 1).min(2),
            "hr" => {
                self.end_line(1);
                self.word("----------------------------------------");
                self.end_line(1);
            }
            "img" => {
                let alt = self.attribute(place, "alt").unwrap_or_default();
                self.words(&alt);
            }
            "td" | "th" => {
                self.blank = true;
                self.children(place, steps);
            }
            "a" => {
                let address = self.attribute(place, "href").and_then(|href| crate::link::target(&href));
                if let Some(address) = address {
                    steps.push(Step::Address(
                        address.trim_start_matches("mailto:").to_owned(),
                        self.text.len(),
                    ));
                }
                self.children(place, steps);
            }
            _ => {
                let Some(apart) = block(name) else { return self.children(place, steps) };
                self.end_line(if apart { 2 } else { 1 });
                steps.push(Step::Leave { blank: apart, prefix: before, pre: name == "pre" });
                self.pre += usize::from(name == "pre");
                if before < PREFIX_BYTES_MAX {
                    match name {
                        "blockquote" => self.prefix.push_str("> "),
                        "dd" => self.prefix.push_str("    "),
                        "li" => {
                            self.word("- ");
                            self.prefix.push_str("  ");
                        }
                        _ => {}
                    }
                }
                self.children(place, steps);
            }
        }
    }

    fn children(&self, place: Place, steps: &mut Vec<Step>) {
        let from = steps.len();
        let mut child = self.nodes[place].first_child;
        while let Some(place) = child {
            steps.push(Step::Enter(place));
            child = self.nodes[place].next;
        }
        steps[from..].reverse();
    }

    fn attribute(&self, place: Place, wanted: &str) -> Option<String> {
        let Kind::Element { attributes, .. } = &self.nodes[place].kind else { return None };
        attributes.iter().find(|one| &*one.name.local == wanted).map(|one| one.value.to_string())
    }

    fn end_line(&mut self, lines: usize) {
        if !self.text.is_empty() {
            self.pending = self.pending.max(lines);
            self.between = self.between.min(self.prefix.len());
        }
        self.blank = false;
    }

    /// Text in which blanks and line ends count.
    fn lines(&mut self, text: &str) {
        for (number, line) in text.split('\n').enumerate() {
            self.pending += usize::from(number > 0 && !self.text.is_empty());
            if !line.is_empty() {
                self.word(line);
            }
        }
    }

    /// Text in which blanks only separate.
    fn words(&mut self, text: &str) {
        for (number, part) in text.split([' ', '\t', '\n', '\r', '\x0c', '\0']).enumerate() {
            self.blank |= number > 0;
            if !part.is_empty() {
                self.word(part);
            }
        }
    }

    fn word(&mut self, word: &str) {
        if self.pending > 0 && !self.text.is_empty() {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            for _ in 1..self.pending {
                self.text.push('\n');
                self.text.push_str(self.prefix[..self.between.min(self.prefix.len())].trim_end());
            }
            self.text.push('\n');
            self.text.push_str(&self.prefix);
        } else if self.text.is_empty() {
            self.text.push_str(&self.prefix);
        } else if self.blank && !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        (self.pending, self.blank, self.between) = (0, false, usize::MAX);
        self.text.push_str(word);
    }
}

/// Whether an element begins a line, and then whether it stands apart.
fn block(name: &str) -> Option<bool> {
    match name {
        "p" | "blockquote" | "ul" | "ol" | "dl" | "pre" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
        | "table" | "figure" => Some(true),
        "div" | "li" | "tr" | "dt" | "dd" | "center" | "address" | "article" | "aside" | "section"
        | "header" | "footer" | "main" | "nav" | "caption" | "figcaption" | "body" | "html" | "form"
        | "fieldset" | "details" | "summary" => Some(false),
        _ => None,
    }
}
