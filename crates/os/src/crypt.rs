//! Password hashes of the C library (crypt(3)), of whatever method the setting names.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

/// `sizeof(struct crypt_data)` of libxcrypt, its first members included.
const DATA_BYTES: usize = 32_768;

#[link(name = "crypt")]
unsafe extern "C" {
    fn crypt_rn(phrase: *const c_char, setting: *const c_char, data: *mut c_void, size: c_int)
    -> *mut c_char;
}

/// The hash of `password` with the method and salt of `setting` (a former hash will do). Nothing when the setting is of no
/// known method, or either has a NUL.
pub fn crypt(password: &str, setting: &str) -> Option<String> {
    let password = CString::new(password).ok()?;
    let setting = CString::new(setting).ok()?;
    let mut data = vec![0u8; DATA_BYTES];
    // SAFETY: both strings end in NUL; `data` is as large as is said, and zeroed as crypt_rn(3) wants it. The result
    // points into `data`, or is null.
    let hash = unsafe {
        let result =
            crypt_rn(password.as_ptr(), setting.as_ptr(), data.as_mut_ptr().cast(), DATA_BYTES as c_int);
        if result.is_null() { None } else { CStr::from_ptr(result).to_str().ok().map(str::to_owned) }
    };
    data.fill(0);
    std::hint::black_box(&data);
    hash.filter(|hash| !hash.starts_with('*')) // a failure token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sha512_hash_is_its_own_setting() {
        // From the specification of SHA-crypt.
        let hash = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
        assert_eq!(crypt("Hello world!", "$6$saltstring").as_deref(), Some(hash));
        assert_eq!(crypt("Hello world!", hash).as_deref(), Some(hash));
        assert_ne!(crypt("hello world!", hash).as_deref(), Some(hash));
    }

    #[test]
    fn no_known_method_is_no_hash() {
        for setting in ["", "*", "$nosuch$x", "\0"] {
            assert_eq!(crypt("x", setting), None, "{setting:?}");
        }
    }
}
