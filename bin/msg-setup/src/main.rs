//! msg-setup: see `admin_tools`.

fn main() {}
