//! The objects of `counterutil`, and what each of them shows.

use counters::alarms::Watched;
use counters::{DEFINITIONS, Definition, Group, Kind, Reading, SERVICES, alarms};
use server_config::{Config, Instance};
use store_maintenance::mail_folders::mail_folders;

use super::Place;

/// Services with sessions.
pub const LISTENING: [&str; 4] = ["smtp", "imap", "pop", "http"];

/// One value of one counter.
#[derive(Debug)]
pub struct Row {
    /// `global`, a service, a partition.
    pub instance: String,
    pub counter: &'static str,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Number(u64),
    /// Seconds since 1970; 0 is never.
    Moment(i64),
    Text(String),
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    Alarm,
    DiskUsage,
    ServerResponse,
    /// Of one service.
    Sessions(&'static str, &'static str),
    Dispatcher,
    Whole(&'static str, Group),
}

const OBJECTS: [Object; 11] = [
    Object::Alarm,
    Object::DiskUsage,
    Object::ServerResponse,
    Object::Sessions("smtpstat", "smtp"),
    Object::Sessions("imapstat", "imap"),
    Object::Sessions("popstat", "pop"),
    Object::Sessions("httpstat", "http"),
    Object::Dispatcher,
    Object::Whole("queuestat", Group::Queue),
    Object::Whole("storestat", Group::Store),
    Object::Whole("directorystat", Group::Directory),
];

impl Object {
    pub fn all() -> impl Iterator<Item = Object> {
        OBJECTS.into_iter()
    }

    /// # Errors
    /// There is none of this name: one line that names all.
    pub fn named(name: &str) -> Result<Object, String> {
        let found = Object::all().find(|object| object.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Object::all().map(Object::name).collect();
            format!("there is no object {}; there are {}", base::escape(name), names.join(", "))
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Object::Alarm => "alarm",
            Object::DiskUsage => "diskusage",
            Object::ServerResponse => "serverresponse",
            Object::Sessions(name, _) | Object::Whole(name, _) => name,
            Object::Dispatcher => "dispatcher",
        }
    }

    /// The services whose counts it shows.
    pub fn services(self) -> Vec<&'static str> {
        match self {
            Object::Sessions(_, service) => vec![service],
            Object::Dispatcher => LISTENING.to_vec(),
            _ => SERVICES.to_vec(),
        }
    }

    /// The counters of the daemons that it shows.
    pub fn definitions(self) -> Vec<&'static Definition> {
        let group = match self {
            Object::Sessions(..) => Group::Sessions,
            Object::Dispatcher => Group::Dispatcher,
            Object::Whole(_, group) => group,
            Object::Alarm | Object::DiskUsage | Object::ServerResponse => return Vec::new(),
        };
        DEFINITIONS.iter().filter(|definition| definition.group == group).collect()
    }

    /// Everything that it shows.
    ///
    /// # Errors
    /// One line: there is no file of counters, or it is damaged.
    pub fn rows(self, place: &Place) -> Result<Vec<Row>, String> {
        match self {
            Object::Alarm => Ok(watched(place)?.iter().flat_map(alarm_rows).collect()),
            Object::ServerResponse => {
                let all = watched(place)?;
                Ok(all.iter().filter(|one| one.alarm == "serverresponse").flat_map(response_rows).collect())
            }
            Object::DiskUsage => {
                Ok(disks(&place.site.instance, &place.site.config).iter().flat_map(disk_rows).collect())
            }
            Object::Sessions(_, service) => {
                let reading = place.reading()?;
                Ok(rows_of(&reading, self.definitions(), "global", Some(service)))
            }
            Object::Whole(..) => Ok(rows_of(&place.reading()?, self.definitions(), "global", None)),
            Object::Dispatcher => {
                let reading = place.reading()?;
                let of = |service| rows_of(&reading, self.definitions(), service, Some(service));
                Ok(LISTENING.into_iter().flat_map(of).collect())
            }
        }
    }
}

fn rows_of(
    reading: &Reading,
    definitions: Vec<&'static Definition>,
    instance: &str,
    service: Option<&str>,
) -> Vec<Row> {
    let row = |definition: &'static Definition| {
        let value = reading.value(definition, service);
        let value = match definition.kind {
            Kind::Start | Kind::Last => Value::Moment(i64::try_from(value).unwrap_or(i64::MAX)),
            Kind::Sum | Kind::Now | Kind::Peak => Value::Number(value),
        };
        Row { instance: instance.to_owned(), counter: definition.name, value }
    };
    definitions.into_iter().map(row).collect()
}

/// What stored knows of what it watches.
///
/// # Errors
/// The file may not be read.
pub fn watched(place: &Place) -> Result<Vec<Watched>, String> {
    let folder = place.site.instance.counter_dir();
    alarms::read(&folder).map_err(|why| format!("{}: {why}", alarms::alarm_file(&folder).display()))
}

/// // NMS: names of the original's alarm object.
fn alarm_rows(one: &Watched) -> Vec<Row> {
    let instance = format!("{}.{}", one.alarm, one.instance);
    let values = [
        ("countoverthreshold", Value::Number(one.over)),
        ("countwarningsent", Value::Number(one.warned)),
        ("current", Value::Number(one.current)),
        ("high", Value::Number(one.high)),
        ("low", Value::Number(one.low)),
        ("timelastset", Value::Moment(one.set)),
        ("timelastwarning", Value::Moment(one.last_warning)),
        ("timestatechanged", Value::Moment(one.changed)),
        ("warningstate", Value::Number(u64::from(one.is_over))),
    ];
    let row = |(counter, value)| Row { instance: instance.clone(), counter, value };
    values.into_iter().map(row).collect()
}

fn response_rows(one: &Watched) -> Vec<Row> {
    let values = [("lastStatTime", Value::Moment(one.set)), ("responseTime", Value::Number(one.current))];
    let row = |(counter, value)| Row { instance: one.instance.clone(), counter, value };
    values.into_iter().map(row).collect()
}

/// The file system of a folder.
pub struct Disk {
    /// `queue`, or the name of a partition.
    pub name: String,
    path: String,
    /// Free bytes for the daemons, and all; nothing when the folder cannot be reached.
    pub space: Option<(u64, u64)>,
}

/// The disks that mail is on, as they are now.
pub fn disks(instance: &Instance, config: &Config) -> Vec<Disk> {
    let places = mail_folders(config, instance);
    let disk = |(name, path): (String, std::path::PathBuf)| Disk {
        space: os::file::free_and_whole_space(&path).ok(),
        path: path.display().to_string(),
        name,
    };
    places.into_iter().map(disk).collect()
}

fn disk_rows(disk: &Disk) -> Vec<Row> {
    let (free, whole) = disk.space.unwrap_or_default();
    let percent = counters::alarms::percent(free, whole);
    let values = [
        ("availSpace", Value::Number(free)),
        ("lastStatTime", Value::Moment(base::clock::unix_seconds())),
        ("mailPartitionPath", Value::Text(disk.path.clone())),
        ("percentAvail", Value::Number(percent)),
        ("totalSpace", Value::Number(whole)),
    ];
    let row = |(counter, value)| Row { instance: disk.name.clone(), counter, value };
    values.into_iter().map(row).collect()
}
