//! Looking for texts in messages, for every protocol: what one message has of the texts that are looked for ([`Scan`]), and
//! what the index of words knows of it without a look at the message ([`Hints`]).

mod hints;
mod scan;

pub use hints::{Hints, Told};
pub use scan::{Needle, Scan, Within};
