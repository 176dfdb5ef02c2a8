//! HTML to a tree, as browsers read it (the HTML standard, section 13.2, by html5ever), in bounded time and memory: a document
//! is cut where it has too many nodes, elements are left out where they nest too deeply, and reading ends after a while.

use std::cell::Cell;
use std::time::{Duration, Instant};

use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::Tracer;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};

use crate::tree::{Node, Place, Tree};

/// Bytes of HTML that are read of a message.
pub const INPUT_BYTES_MAX: usize = 6 << 20;
/// Nodes of a document.
pub const NODES_MAX: usize = 200_000;
/// Elements that are open at once. Browsers have such a limit too (Chromium's is 512).
const DEPTH_MAX: usize = 256;
/// Tags between two looks at how many are open: looking takes time of the depth.
const TAGS_BETWEEN: usize = 64;
/// Bytes given to the parser at once, between two looks at the clock.
const STEP_BYTES: usize = 16 << 10;
/// What no message needs, for all its parts and readings: the backstop for what takes longer than its size says, such as one
/// tag with a million attributes, or elements that the parser opens again and again.
pub const TIME_MAX: Duration = Duration::from_secs(2);

/// The end of the time that a message has.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    pub fn after(time: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(time))
    }

    pub fn is_over(self) -> bool {
        self.0.is_none_or(|end| Instant::now() >= end)
    }
}

/// A parsed document.
pub struct Parsed {
    pub nodes: Vec<Node>,
    /// Whether not all of it was read.
    pub is_cut: bool,
}

/// Parses what a message holds as text/html, for as long as there is time.
pub fn parse(html: &str, deadline: Deadline) -> Parsed {
    let (html, mut is_cut) = truncated(html);
    let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let guard = Guard {
        builder: TreeBuilder::new(Tree::new(), options),
        tags: Cell::new(0),
        is_too_deep: Cell::new(false),
        is_full: Cell::new(false),
    };
    let tokenizer = Tokenizer::new(guard, TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut rest = html;
    while !rest.is_empty() {
        if tokenizer.sink.is_full.get() || deadline.is_over() {
            is_cut = true;
            break;
        }
        let (step, behind) = rest.split_at(rest.floor_char_boundary_of(STEP_BYTES));
        input.push_back(StrTendril::from(step));
        while !matches!(tokenizer.feed(&input), html5ever::TokenizerResult::Done) {}
        rest = behind;
    }
    tokenizer.end();
    let Guard { builder, is_full, .. } = tokenizer.sink;
    Parsed { nodes: builder.sink.into_nodes(), is_cut: is_cut || is_full.get() }
}

fn truncated(html: &str) -> (&str, bool) {
    let end = html.floor_char_boundary_of(INPUT_BYTES_MAX);
    (&html[..end], end < html.len())
}

/// `str::floor_char_boundary`, which is younger than our oldest compiler.
pub trait Boundary {
    /// The largest end of a character at or before `most`.
    fn floor_char_boundary_of(&self, most: usize) -> usize;
}

impl Boundary for str {
    fn floor_char_boundary_of(&self, most: usize) -> usize {
        if most >= self.len() {
            return self.len();
        }
        (0..=most).rev().find(|&end| self.is_char_boundary(end)).unwrap_or(0)
    }
}

/// Stands between the tokens and the tree.
struct Guard {
    builder: TreeBuilder<Place, Tree>,
    tags: Cell<usize>,
    is_too_deep: Cell<bool>,
    is_full: Cell<bool>,
}

impl Guard {
    /// Whether this token is to be left out.
    fn leaves_out(&self, token: &Token) -> bool {
        if self.builder.sink.count() > NODES_MAX {
            self.is_full.set(true);
        }
        let Token::TagToken(tag) = token else {
            return self.is_full.get() && !matches!(token, Token::EOFToken);
        };
        let tags = self.tags.get();
        self.tags.set(tags + 1);
        if tags % TAGS_BETWEEN == 0 {
            let open = Count::default();
            self.builder.trace_handles(&open);
            self.is_too_deep.set(open.0.get() > DEPTH_MAX);
        }
        self.is_full.get() || (self.is_too_deep.get() && tag.kind == TagKind::StartTag)
    }
}

impl TokenSink for Guard {
    type Handle = Place;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Place> {
        if self.leaves_out(&token) {
            return TokenSinkResult::Continue;
        }
        self.builder.process_token(token, line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Counts the elements that the parser holds open.
#[derive(Default)]
struct Count(Cell<usize>);

impl Tracer for Count {
    type Handle = Place;

    fn trace_handle(&self, _node: &Place) {
        self.0.set(self.0.get() + 1);
    }
}
