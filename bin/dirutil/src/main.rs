//! dirutil: see `admin_tools`.

fn main() {}
