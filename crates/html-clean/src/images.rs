//! The images of one message: each address is asked for once, and what became of it is known when the result is read again.

use std::collections::{HashMap, HashSet};

use crate::link::{self, DATA_BYTES_MAX, Image, Source};

/// Addresses of images in a message.
const IMAGES_MAX: usize = 2_000;

/// What a message's images become: an address on the own host, or None when the image is not to be shown.
pub type Rewrite<'a> = dyn FnMut(Source<'_>) -> Option<String> + 'a;

/// See the head of this file.
pub struct Images<'a> {
    rewrite: &'a mut Rewrite<'a>,
    answers: HashMap<String, Option<String>>,
    own: HashSet<String>,
    /// Whether the own addresses are what is read now.
    pub again: bool,
    data_bytes: usize,
    pub blocked: usize,
    pub has_colours: bool,
}

impl<'a> Images<'a> {
    pub fn new(rewrite: &'a mut Rewrite<'a>) -> Images<'a> {
        Images {
            rewrite,
            answers: HashMap::new(),
            own: HashSet::new(),
            again: false,
            data_bytes: 0,
            blocked: 0,
            has_colours: false,
        }
    }

    /// What is written for an address; None: no image.
    pub fn address(&mut self, text: &str) -> Option<String> {
        if self.again && self.own.contains(text) {
            return Some(text.to_owned());
        }
        let source = match link::image(text)? {
            Image::Data(url) => return self.data(url),
            Image::Remote(url) => Source::Remote(url.as_str()).to_string_pair(),
            Image::Inline(id) => Source::Inline(id.as_str()).to_string_pair(),
        };
        if self.again {
            return None;
        }
        self.ask(source)
    }

    fn ask(&mut self, (is_remote, name): (bool, String)) -> Option<String> {
        let key = format!("{}{name}", u8::from(is_remote));
        if let Some(known) = self.answers.get(&key) {
            return known.clone();
        }
        let source = if is_remote { Source::Remote(&name) } else { Source::Inline(&name) };
        let answer = (self.answers.len() < IMAGES_MAX)
            .then(|| (self.rewrite)(source))
            .flatten()
            .filter(|own| link::is_own(own));
        if let Some(own) = &answer {
            self.own.insert(own.clone());
        } else if is_remote {
            self.blocked += 1;
        }
        self.answers.insert(key, answer.clone());
        answer
    }

    /// An image inside the address is shown as long as there are not too many bytes of them.
    fn data(&mut self, url: String) -> Option<String> {
        if self.again {
            return Some(url);
        }
        self.data_bytes += url.len();
        (self.data_bytes <= 2 * DATA_BYTES_MAX).then_some(url)
    }

    /// That the message sets a colour.
    pub fn note_colours(&mut self, property: &str) {
        if property == "color"
            || property == "bgcolor"
            || property.starts_with("background")
            || property == "text"
        {
            self.has_colours = true;
        }
    }
}

impl Source<'_> {
    fn to_string_pair(self) -> (bool, String) {
        match self {
            Source::Remote(url) => (true, url.to_owned()),
            Source::Inline(id) => (false, id.to_owned()),
        }
    }
}
