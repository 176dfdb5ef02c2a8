//! mshttpd: requests as they are and as they should not be, sign-ins and their end, what pages of others cannot do.
#![allow(clippy::unwrap_used)]

mod http {
    mod images;
    mod injection;
    mod jmap;
    mod limits;
    mod requests;
    mod sign_in;
    mod strangers;
}
