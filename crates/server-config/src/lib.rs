//! Every parameter, declared once; the configuration file; the folder names of an instance.

pub mod access;
pub mod central;
pub mod config;
pub mod edit;
pub mod instance;
pub mod parameter;
pub mod parameters;
pub mod run_count;
pub mod secret;
pub mod server_user;
pub mod values;

pub use config::{Config, ConfigError, Live};
pub use instance::Instance;
pub use parameter::{Effect, Entry, Parameter, Status};
pub use parameters::{REGISTRY, containing, find, near, nearest};
pub use secret::SecretFile;
pub use values::{
    AllowFilters, Bytes, Count, Days, DenyFilters, HostTable, Hours, List, LogFormat, LogLevel, LogType,
    MailAddress, Microseconds, Minutes, NameServers, Networks, OptionalCount, OptionalPort, Patterns, Peers,
    Port, RewriteStyle, Seconds, Switch, Text, Value,
};
