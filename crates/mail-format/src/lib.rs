//! Internet messages as text: header fields, addresses, dates, encoded words, the MIME tree (RFC 5322, 2045 to 2047,
//! 2231, 5256). Nothing here fails: what makes no sense is taken as it comes, in time that grows with its length only.

pub mod address;
pub mod charset;
pub mod collation;
pub mod content_type;
pub mod date;
pub mod encode;
pub mod envelope;
pub mod header;
pub mod line_ends;
pub mod message_id;
pub mod preview;
pub mod quoting;
pub mod report;
pub mod searchable;
pub mod seven_bit;
pub mod structure;
pub mod subject;
pub mod surrogate;
pub mod thread;
pub mod transfer;
pub mod words;

pub use address::{Item, address_list, only_author};
pub use charset::decode_text;
pub use collation::{casemap, fold};
pub use content_type::ContentType;
pub use date::{date, format_date};
pub use encode::{EncodedText, encode_text};
pub use header::{header_field, header_fields, unfold};
pub use line_ends::LineEnds;
pub use message_id::message_ids;
pub use seven_bit::{is_text, seven_bit, without_binary};
pub use structure::{Part, PartKind, Structure, scan};
pub use subject::{BaseSubject, base_subject};
pub use surrogate::{has_utf8_header, surrogate};
pub use thread::thread_id;
pub use transfer::{Decoder, TransferEncoding};
pub use words::{decode_words, encode_words};
