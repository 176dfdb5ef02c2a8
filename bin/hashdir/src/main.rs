//! hashdir: see `admin_tools`.

fn main() {}
