//! Who exists and who may: the embedded LDIF directory behind a trait that LDAP will share.
