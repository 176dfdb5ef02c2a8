//! stored: see the crates it names.

fn main() {}
