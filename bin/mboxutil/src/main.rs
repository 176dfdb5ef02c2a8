//! mboxutil: see `admin_tools`.

fn main() {}
