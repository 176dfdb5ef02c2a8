//! Internet messages as text: header fields, addresses, the MIME tree.
