//! What an automatic answer is made of: whether one is due, to whom, in which language, with which words.

pub mod language;
pub mod message;
pub mod remembered;
pub mod rules;
pub mod texts;
pub mod vacation;
