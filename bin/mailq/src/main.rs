//! mailq: see `admin_tools`.

fn main() {}
