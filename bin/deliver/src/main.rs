//! deliver: see `admin_tools`.

fn main() {}
