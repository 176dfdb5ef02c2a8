//! setconf: see `admin_tools`.

fn main() {}
