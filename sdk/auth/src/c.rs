//! The face for C; `include/mailboat_auth.h` says what each function does, and a test below that both are the same.
//!
//! No panic crosses it, no pointer is followed that may be null, and nothing is kept of what the caller owns.
#![allow(unsafe_code)] // pointers of C

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use crate::authenticator::{Authenticator, Security, wipe};
use crate::connection::Connection;
use crate::error::{Error, Result, Status};

/// Raised when a function is added; what is there stays as it is.
const ABI: u32 = 1;

#[unsafe(no_mangle)]
pub extern "C" fn mailboat_auth_abi() -> u32 {
    ABI
}

#[unsafe(no_mangle)]
pub extern "C" fn mailboat_auth_status_text(status: i32) -> *const c_char {
    let known = usize::try_from(status).ok().and_then(|place| Status::ALL.get(place));
    known.map_or(c"an unknown status", |known| known.c_text()).as_ptr()
}

/// # Safety
/// As in the header: strings end with a NUL, and `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_new(
    host: *const c_char,
    administrator: *const c_char,
    password: *const c_char,
    out: *mut *mut Authenticator,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        let place = Place::new(out)?;
        let (host, administrator, password) = (text(host)?, text(administrator)?, text(password)?);
        place.put(Authenticator::new(host, administrator, password)?);
        Ok(())
    })
}

/// # Safety
/// `auth` is from `mailboat_auth_new`, and no other thread uses it now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_set_authorities(
    auth: *mut Authenticator,
    path: *const c_char,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        let auth = exclusive(auth)?;
        *auth = auth.clone().trusting(Path::new(text(path)?));
        Ok(())
    })
}

/// # Safety
/// As `mailboat_auth_set_authorities`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_set_timeout(
    auth: *mut Authenticator,
    milliseconds: u32,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        let auth = exclusive(auth)?;
        *auth = auth.clone().timeout(Duration::from_millis(milliseconds.into()))?;
        Ok(())
    })
}

/// # Safety
/// As `mailboat_auth_set_authorities`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_set_public_address(
    auth: *mut Authenticator,
    address: *const c_char,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        let auth = exclusive(auth)?;
        *auth = auth.clone().public_address(text(address)?)?;
        Ok(())
    })
}

/// # Safety
/// `auth` is null, or from `mailboat_auth_new`, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_free(auth: *mut Authenticator) {
    free(auth);
}

/// # Safety
/// `auth` is from `mailboat_auth_new`; the rest as in the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_imap(
    auth: *const Authenticator,
    port: u16,
    security: i32,
    user: *const c_char,
    out: *mut *mut Connection,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        let place = Place::new(out)?;
        place.put(shared(auth)?.imap(port, security_of(security)?, text(user)?)?);
        Ok(())
    })
}

/// # Safety
/// As `mailboat_auth_imap`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_pop(
    auth: *const Authenticator,
    port: u16,
    security: i32,
    user: *const c_char,
    out: *mut *mut Connection,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        let place = Place::new(out)?;
        place.put(shared(auth)?.pop(port, security_of(security)?, text(user)?)?);
        Ok(())
    })
}

/// # Safety
/// As `mailboat_auth_imap`; `seconds` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_web(
    auth: *const Authenticator,
    port: u16,
    security: i32,
    user: *const c_char,
    address: *mut *mut c_char,
    seconds: *mut u32,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        if address.is_null() {
            return Err(Error::argument("nowhere to put the result"));
        }
        // SAFETY: not null; the caller says that it can be written to.
        unsafe { address.write(std::ptr::null_mut()) };
        let sign_in = shared(auth)?.web(port, security_of(security)?, text(user)?)?;
        // SAFETY: as above; `seconds` is looked at.
        unsafe {
            address.write(owned(&sign_in.address));
            if !seconds.is_null() {
                seconds.write(sign_in.seconds);
            }
        }
        Ok(())
    })
}

/// # Safety
/// `connection` is from `mailboat_auth_imap` or `mailboat_auth_pop`, and this thread's now; `into` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_read(
    connection: *mut Connection,
    into: *mut c_void,
    size: usize,
    count: *mut usize,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        if into.is_null() || count.is_null() || size > isize::MAX as usize {
            return Err(Error::argument("nowhere to put what is read"));
        }
        // SAFETY: not null; the caller says that it can be written to.
        unsafe { count.write(0) };
        // SAFETY: not null and of a size that can be; the caller says that there are so many bytes. They are made ones that
        // were written before anything reads them.
        let into = unsafe {
            std::ptr::write_bytes(into.cast::<u8>(), 0, size);
            std::slice::from_raw_parts_mut(into.cast::<u8>(), size)
        };
        let read = exclusive(connection)?.read(into)?;
        // SAFETY: as above.
        unsafe { count.write(read) };
        Ok(())
    })
}

/// # Safety
/// As `mailboat_auth_read`; `bytes` has `size` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_write(
    connection: *mut Connection,
    bytes: *const c_void,
    size: usize,
    why: *mut *mut c_char,
) -> i32 {
    guarded(why, || {
        if bytes.is_null() || size > isize::MAX as usize {
            return Err(Error::argument("nothing to write"));
        }
        // SAFETY: not null and of a size that can be; the caller says that there are so many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size) };
        exclusive(connection)?.write_all(bytes)?;
        Ok(())
    })
}

/// # Safety
/// `connection` is null, or from here, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_close(connection: *mut Connection) {
    free(connection);
}

/// # Safety
/// `string` is null, or from here, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mailboat_auth_string_free(string: *mut c_char) {
    if !string.is_null() {
        // SAFETY: made by `owned`; the caller gives it back.
        let string = unsafe { CString::from_raw(string) };
        wipe(&mut string.into_bytes()); // it may be an address that signs in
    }
}

/// Runs what a function does, and says what came of it.
fn guarded(why: *mut *mut c_char, run: impl FnOnce() -> Result<()>) -> i32 {
    let result = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Error::new(Status::Internal, "it is left as it was")));
    let error = result.err();
    if !why.is_null() {
        let text = error.as_ref().map_or(std::ptr::null_mut(), |error| owned(&error.to_string()));
        // SAFETY: not null; the caller says that it can be written to.
        unsafe { why.write(text) };
    }
    error.map_or(Status::Ok, |error| error.status) as i32
}

/// Where a result goes; null until it does.
struct Place<T>(*mut *mut T);

impl<T> Place<T> {
    fn new(out: *mut *mut T) -> Result<Place<T>> {
        if out.is_null() {
            return Err(Error::argument("nowhere to put the result"));
        }
        // SAFETY: not null; the caller says that it can be written to.
        unsafe { out.write(std::ptr::null_mut()) };
        Ok(Place(out))
    }

    fn put(self, value: T) {
        // SAFETY: looked at by `new`.
        unsafe { self.0.write(Box::into_raw(Box::new(value))) };
    }
}

fn text<'a>(string: *const c_char) -> Result<&'a str> {
    if string.is_null() {
        return Err(Error::argument("a string is missing"));
    }
    // SAFETY: not null; the caller says that it ends with a NUL and stays for the call.
    let string = unsafe { CStr::from_ptr(string) };
    string.to_str().map_err(|_| Error::argument("a string is not UTF-8"))
}

fn owned(text: &str) -> *mut c_char {
    CString::new(text.replace('\0', "?")).unwrap_or_default().into_raw()
}

fn shared<'a, T>(pointer: *const T) -> Result<&'a T> {
    // SAFETY: null or from here, as the caller says, and not freed during the call.
    unsafe { pointer.as_ref() }.ok_or_else(|| Error::argument("a handle is missing"))
}

fn exclusive<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    // SAFETY: null or from here, as the caller says, not freed during the call, and used by this thread alone.
    unsafe { pointer.as_mut() }.ok_or_else(|| Error::argument("a handle is missing"))
}

fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: made by `Place::put`; the caller gives it back. Dropping it closes a socket and overwrites a password.
        let owned = unsafe { Box::from_raw(pointer) };
        let _ = catch_unwind(AssertUnwindSafe(move || drop(owned)));
    }
}

fn security_of(number: i32) -> Result<Security> {
    match number {
        0 => Ok(Security::Tls),
        1 => Ok(Security::StartTls),
        2 => Ok(Security::Loopback),
        _ => Err(Error::argument("no such security")),
    }
}

#[cfg(test)]
mod tests;
