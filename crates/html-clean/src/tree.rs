//! The tree that the parser builds: nodes in one vector, linked by index, so that depth costs no call stack.

use std::borrow::Cow;
use std::cell::RefCell;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::tree_builder::ElemName;
use html5ever::{Attribute, LocalName, Namespace, QualName};

/// A node's place in the tree.
pub type Place = usize;

/// The document itself.
pub const DOCUMENT: Place = 0;

/// What a node is.
pub enum Kind {
    Document,
    Element {
        name: QualName,
        attributes: Vec<Attribute>,
    },
    Text(StrTendril),
    /// A comment, or another node that is never shown.
    Other,
}

pub struct Node {
    pub kind: Kind,
    parent: Option<Place>,
    previous: Option<Place>,
    pub next: Option<Place>,
    pub first_child: Option<Place>,
    last_child: Option<Place>,
}

/// A parsed document; the parser's sink while it is built.
pub struct Tree {
    nodes: RefCell<Vec<Node>>,
}

impl Tree {
    pub fn new() -> Tree {
        let tree = Tree { nodes: RefCell::new(Vec::new()) };
        tree.add(Kind::Document);
        tree
    }

    /// Nodes made so far, those that were left out again among them.
    pub fn count(&self) -> usize {
        self.nodes.borrow().len()
    }

    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes.into_inner()
    }

    fn add(&self, kind: Kind) -> Place {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node {
            kind,
            parent: None,
            previous: None,
            next: None,
            first_child: None,
            last_child: None,
        });
        nodes.len() - 1
    }

    fn unlink(&self, place: Place) {
        let mut nodes = self.nodes.borrow_mut();
        let (parent, previous, next) = (nodes[place].parent, nodes[place].previous, nodes[place].next);
        match (previous, parent) {
            (Some(previous), _) => nodes[previous].next = next,
            (None, Some(parent)) => nodes[parent].first_child = next,
            (None, None) => {}
        }
        match (next, parent) {
            (Some(next), _) => nodes[next].previous = previous,
            (None, Some(parent)) => nodes[parent].last_child = previous,
            (None, None) => {}
        }
        let node = &mut nodes[place];
        (node.parent, node.previous, node.next) = (None, None, None);
    }

    /// Puts a node without a parent behind `previous`, or as the first child.
    fn link(&self, place: Place, parent: Place, previous: Option<Place>) {
        let mut nodes = self.nodes.borrow_mut();
        let next = match previous {
            Some(previous) => nodes[previous].next.replace(place),
            None => nodes[parent].first_child.replace(place),
        };
        match next {
            Some(next) => nodes[next].previous = Some(place),
            None => nodes[parent].last_child = Some(place),
        }
        let node = &mut nodes[place];
        (node.parent, node.previous, node.next) = (Some(parent), previous, next);
    }

    fn insert(&self, child: NodeOrText<Place>, parent: Place, previous: Option<Place>) {
        match child {
            NodeOrText::AppendNode(place) => self.link(place, parent, previous),
            NodeOrText::AppendText(text) => {
                if !self.extend_text(previous, &text) {
                    let place = self.add(Kind::Text(text));
                    self.link(place, parent, previous);
                }
            }
        }
    }

    /// Adjacent texts are one node.
    fn extend_text(&self, place: Option<Place>, text: &StrTendril) -> bool {
        let mut nodes = self.nodes.borrow_mut();
        match place.map(|place| &mut nodes[place].kind) {
            Some(Kind::Text(before)) => {
                before.push_tendril(text);
                true
            }
            _ => false,
        }
    }
}

/// An element's name, as the parser asks for it.
#[derive(Debug)]
pub struct Name {
    namespace: Namespace,
    local: LocalName,
}

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.namespace
    }

    fn local_name(&self) -> &LocalName {
        &self.local
    }
}

impl TreeSink for Tree {
    type Handle = Place;
    type Output = Tree;
    type ElemName<'a> = Name;

    fn finish(self) -> Tree {
        self
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> Place {
        DOCUMENT
    }

    fn elem_name<'a>(&'a self, target: &'a Place) -> Name {
        match &self.nodes.borrow()[*target].kind {
            Kind::Element { name, .. } => Name { namespace: name.ns.clone(), local: name.local.clone() },
            // The parser promises not to ask; a name that is no element's changes nothing.
            _ => Name { namespace: Namespace::from(""), local: LocalName::from("") },
        }
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _flags: ElementFlags) -> Place {
        self.add(Kind::Element { name, attributes })
    }

    fn create_comment(&self, _text: StrTendril) -> Place {
        self.add(Kind::Other)
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Place {
        self.add(Kind::Other)
    }

    fn append(&self, parent: &Place, child: NodeOrText<Place>) {
        let last = self.nodes.borrow()[*parent].last_child;
        self.insert(child, *parent, last);
    }

    fn append_based_on_parent_node(&self, element: &Place, previous: &Place, child: NodeOrText<Place>) {
        let has_parent = self.nodes.borrow()[*element].parent.is_some();
        if has_parent { self.append_before_sibling(element, child) } else { self.append(previous, child) }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    /// What a template holds is never shown: it hangs nowhere.
    fn get_template_contents(&self, _target: &Place) -> Place {
        self.add(Kind::Other)
    }

    fn same_node(&self, one: &Place, other: &Place) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Place, child: NodeOrText<Place>) {
        if let NodeOrText::AppendNode(place) = child {
            self.unlink(place);
        }
        let (parent, previous) = {
            let node = &self.nodes.borrow()[*sibling];
            (node.parent, node.previous)
        };
        if let Some(parent) = parent {
            self.insert(child, parent, previous);
        }
    }

    fn add_attrs_if_missing(&self, target: &Place, more: Vec<Attribute>) {
        if let Kind::Element { attributes, .. } = &mut self.nodes.borrow_mut()[*target].kind {
            for one in more {
                if attributes.iter().all(|known| known.name != one.name) {
                    attributes.push(one);
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &Place) {
        self.unlink(*target);
    }

    fn reparent_children(&self, node: &Place, new_parent: &Place) {
        loop {
            let Some(child) = self.nodes.borrow()[*node].first_child else { return };
            self.unlink(child);
            let last = self.nodes.borrow()[*new_parent].last_child;
            self.link(child, *new_parent, last);
        }
    }
}
