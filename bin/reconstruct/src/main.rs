//! reconstruct: see `admin_tools`.

fn main() {}
