//! The pseudo-regular expressions of the router's tables (S71, S72; guide L459-473).
//!
//! `*` is any run of characters, `?` any one, everything else itself, in any case, over the whole domain. `!` negates,
//! `&&` and `||` join, parentheses group; `&&` binds closer than `||`. A list is separated by blanks; blanks inside
//! parentheses belong to the expression.

use std::fmt;

/// Depth of parentheses and negations at most.
const DEPTH_MAX: usize = 32;
/// Bytes of one expression at most.
const LENGTH_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Literal(String),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Node);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    Empty,
    Parenthesis,
    Operator,
    TooLong,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatternError::Empty => "a pattern is empty",
            PatternError::Parenthesis => "a parenthesis has no partner",
            PatternError::Operator => "an operator has nothing to work on",
            PatternError::TooLong => "a pattern is too long",
        })
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.len() > LENGTH_MAX {
            return Err(PatternError::TooLong);
        }
        let mut reader = Reader { rest: text, depth: 0 };
        let node = reader.any_of()?;
        match reader.rest.trim_start() {
            "" => Ok(Pattern(node)),
            rest if rest.starts_with(')') => Err(PatternError::Parenthesis),
            _ => Err(PatternError::Operator),
        }
    }

    /// The expressions of a list that is separated by blanks.
    ///
    /// # Errors
    /// As [`Pattern::parse`], of the first that is wrong.
    pub fn parse_list(text: &str) -> Result<Vec<Pattern>, PatternError> {
        let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0usize);
        for c in text.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1).ok_or(PatternError::Parenthesis)?,
                c if c.is_ascii_whitespace() && depth == 0 => {
                    items.push(std::mem::take(&mut item));
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        items.push(item);
        items.iter().filter(|item| !item.is_empty()).map(|item| Pattern::parse(item)).collect()
    }

    /// Whether the whole of `domain` is meant.
    pub fn matches(&self, domain: &str) -> bool {
        matches(&self.0, domain.to_ascii_lowercase().as_bytes())
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn any_of(&mut self) -> Result<Node, PatternError> {
        let mut parts = vec![self.all_of()?];
        while self.take("||") {
            parts.push(self.all_of()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Node::Or(parts) })
    }

    fn all_of(&mut self) -> Result<Node, PatternError> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Node::And(parts) })
    }

    fn one(&mut self) -> Result<Node, PatternError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(PatternError::TooLong);
        }
        let node = if self.take("!") {
            Node::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any_of()?;
            if !self.take(")") {
                return Err(PatternError::Parenthesis);
            }
            inner
        } else {
            self.rest = self.rest.trim_start();
            let ends = |c: char| c.is_ascii_whitespace() || "!&|()".contains(c);
            let end = self.rest.find(ends).unwrap_or(self.rest.len());
            let (literal, rest) = self.rest.split_at(end);
            if literal.is_empty() {
                return Err(if rest.is_empty() { PatternError::Empty } else { PatternError::Operator });
            }
            self.rest = rest;
            Node::Literal(literal.to_ascii_lowercase())
        };
        self.depth -= 1;
        Ok(node)
    }
}

fn matches(node: &Node, domain: &[u8]) -> bool {
    match node {
        Node::Literal(text) => wildcard(text.as_bytes(), domain),
        Node::Not(inner) => !matches(inner, domain),
        Node::And(parts) => parts.iter().all(|part| matches(part, domain)),
        Node::Or(parts) => parts.iter().any(|part| matches(part, domain)),
    }
}

/// In time proportional to the product of the lengths: only the last star is ever tried again.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// A table of `pattern:value` items separated by `$` (hostrewrites, fallbackhosts).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(Vec<(Pattern, String)>);

impl Table {
    /// # Errors
    /// One line that says which item is wrong.
    pub fn parse(text: &str) -> Result<Table, String> {
        let mut rows = Vec::new();
        for item in text.split('$').map(str::trim).filter(|item| !item.is_empty()) {
            let (pattern, value) =
                item.split_once(':').ok_or_else(|| format!("\"{item}\" is not of the form pattern:host"))?;
            let pattern = Pattern::parse(pattern).map_err(|why| format!("\"{item}\": {why}"))?;
            let value = value.trim();
            if value.is_empty() || value.len() > 255 || value.contains(|c: char| c.is_whitespace()) {
                return Err(format!("\"{item}\" names no host"));
            }
            rows.push((pattern, value.to_owned()));
        }
        Ok(Table(rows))
    }

    /// The values of all rows.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }

    /// The value of the first row that means this domain.
    pub fn first(&self, domain: &str) -> Option<&str> {
        self.all(domain).next()
    }

    /// The values of all rows that mean this domain, in order.
    pub fn all(&self, domain: &str) -> impl Iterator<Item = &str> {
        let rows = self.0.iter().filter(move |(pattern, _)| pattern.matches(domain));
        rows.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// S72: the guide's expression and its relatives.
    #[test]
    fn expressions_mean_what_the_guide_says() {
        for (text, domain, expected) in [
            ("*", "anything.test", true),
            ("*.mydom", "a.mydom", true),
            ("*.mydom", "mydom", false),
            ("*.MYDOM", "A.myDom", true),
            ("mydom", "mydom", true),
            ("mydom", "amydom", false),
            ("(!*.mydom && !*.otherdom)", "a.mydom", false),
            ("(!*.mydom && !*.otherdom)", "b.otherdom", false),
            ("(!*.mydom && !*.otherdom)", "c.third", true),
            ("!*.mydom&&!*.otherdom", "c.third", true),
            ("a || b && c", "a", true),
            ("a || b && c", "b", false),
            ("(a || b) && !b", "a", true),
            ("!!a", "a", true),
            ("!(a || b)", "c", true),
            ("h?st.*", "host.x", true),
            ("h?st.*", "hst.x", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(Pattern::parse(text).unwrap().matches(domain), expected, "{text} on {domain}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for (text, why) in [
            ("", PatternError::Empty),
            ("(a", PatternError::Parenthesis),
            ("a)", PatternError::Parenthesis),
            ("a &&", PatternError::Empty),
            ("&& a", PatternError::Operator),
            ("a b", PatternError::Operator),
            ("()", PatternError::Operator),
            ("!", PatternError::Empty),
        ] {
            assert_eq!(Pattern::parse(text), Err(why), "{text}");
        }
        assert_eq!(Pattern::parse(&"!".repeat(4000)), Err(PatternError::TooLong));
        assert_eq!(Pattern::parse(&"a".repeat(5000)), Err(PatternError::TooLong));
    }

    #[test]
    fn blanks_separate_items_but_not_inside_parentheses() {
        let list = Pattern::parse_list(" *.a  (!*.b && !*.c)\tx ").unwrap();
        assert_eq!(list.len(), 3);
        assert!(list[1].matches("d") && !list[1].matches("z.c"));
        assert_eq!(Pattern::parse_list("a)"), Err(PatternError::Parenthesis));
        assert_eq!(Pattern::parse_list("  ").unwrap(), []);
    }

    #[test]
    fn tables_give_the_first_row_or_all() {
        let table = Table::parse("*.this.com:hub.this.com$*:last.example").unwrap();
        assert_eq!(table.first("a.this.com"), Some("hub.this.com"));
        assert_eq!(table.first("other.test"), Some("last.example"));
        assert_eq!(table.all("a.this.com").count(), 2);
        assert_eq!(Table::default().first("x"), None);
        for wrong in ["nohost", "*:", "*:a b", "(:h"] {
            assert!(Table::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[a-c*?!&|() ]{0,40}", domain in "[a-c.]{0,12}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let _ = pattern.matches(&domain);
            }
            let _ = Pattern::parse_list(&text);
        }
    }
}
