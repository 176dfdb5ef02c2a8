//! getconf: see `admin_tools`.

fn main() {}
