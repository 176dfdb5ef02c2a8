//! Users, as the system's user database says: who runs this process, who has a name.

use nix::unistd::{Group, Uid, User};

/// A user of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemUser {
    /// The log-in name.
    pub name: String,
    /// The full name: the first part of the gecos field, where `&` stands for the name.
    pub full_name: String,
}

/// The real user of this process; nothing when the database does not know the number.
pub fn current() -> Option<SystemUser> {
    let user = User::from_uid(Uid::current()).ok().flatten()?;
    let gecos = user.gecos.to_string_lossy();
    let full_name = full_name(&gecos, &user.name);
    Some(SystemUser { name: user.name, full_name })
}

/// Number and primary group of a user; nothing when there is none of this name.
///
/// # Errors
/// The database cannot be read.
pub fn numbers_of(name: &str) -> std::io::Result<Option<(u32, u32)>> {
    let user = User::from_name(name)?;
    Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// The number of a group, by its name or as a number; nothing when there is none of this name.
///
/// # Errors
/// The database cannot be read.
pub fn group_number_of(name: &str) -> std::io::Result<Option<u32>> {
    let known = Group::from_name(name)?.map(|group| group.gid.as_raw());
    Ok(known.or_else(|| name.parse().ok()))
}

fn full_name(gecos: &str, name: &str) -> String {
    let first = gecos.split(',').next().unwrap_or("").trim();
    let mut letters = name.chars();
    let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    first.replace('&', &capital)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_zero_and_nobody_has_a_strange_name() {
        assert_eq!(numbers_of("root").unwrap(), Some((0, 0)));
        assert_eq!(numbers_of("no such user").unwrap(), None);
    }

    #[test]
    fn the_full_name_is_the_first_part_and_an_ampersand_the_log_in_name() {
        assert_eq!(full_name("Joe Doe,Room 5,,", "joe"), "Joe Doe");
        assert_eq!(full_name("& Doe", "joe"), "Joe Doe");
        assert_eq!(full_name("", "joe"), "");
    }
}
