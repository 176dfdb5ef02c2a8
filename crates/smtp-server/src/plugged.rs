//! Plug-ins of the site, which run in a process of their own: a message that came, before it is taken ([`PostAccept`]), and
//! the command lines of a session ([`stack`]). Nothing of it exists where there are none.

mod content;
mod post_accept;
pub(crate) mod stack;

pub use post_accept::PostAccept;
