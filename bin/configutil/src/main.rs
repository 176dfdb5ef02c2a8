//! configutil: see `admin_tools`.

fn main() {}
