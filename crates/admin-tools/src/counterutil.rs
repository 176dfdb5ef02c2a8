//! counterutil: what the daemons count (`docs/formats/counters.md`), as the original showed it, as JSON, and for Prometheus.
//!
//! // NMS: options and form of the answers; the objects of Berkeley DB (`db_*`) and `cgimsg` have nothing to count here.

mod objects;
mod prometheus;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use base::json::quote;
use clap::{ArgGroup, CommandFactory, Parser};
use counters::{Kind, Reading, SERVICES, counter_file};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::site::{Site, broken, run_tool};
use objects::{Object, Row, Value};

#[derive(Parser)]
#[command(name = "counterutil", version, about = "What the daemons count")]
#[command(group(ArgGroup::new("what").required(true).args(["list", "object", "prometheus"])))]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Which objects there are
    #[arg(short = 'l', long)]
    list: bool,
    /// Shows the counters of an object, again and again
    #[arg(short = 'o', long)]
    object: Option<String>,
    /// Seconds between two looks
    #[arg(short = 'i', long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Looks until it ends; without it, it goes on until it is stopped
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..))]
    iterations: Option<u64>,
    /// Another file of counters than the instance's
    #[arg(short = 'r', long)]
    registry: Option<PathBuf>,
    /// Sets a sum of the object to 0: the one that -c names
    #[arg(short = 's', long, requires_all = ["object", "counter"])]
    set: bool,
    /// A counter of the object: numConnections, or imap.numJobs
    #[arg(short = 'c', long, requires = "object")]
    counter: Option<String>,
    /// One JSON object for each look
    #[arg(long, conflicts_with_all = ["prometheus", "set"])]
    json: bool,
    /// Everything at once, in the text format of Prometheus
    #[arg(long)]
    prometheus: bool,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("counterutil", arguments, out, err, |arguments, out, _| work(&arguments, out))
}

/// The instance and its file of counters.
struct Place {
    site: Site,
    registry: PathBuf,
}

impl Place {
    fn reading(&self) -> Result<Reading, String> {
        Reading::open_file(&self.registry).map_err(|why| {
            let name = self.registry.display();
            match why.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("{name}: there is none: no daemon of this version has run here")
                }
                _ => format!("{name}: {why}"),
            }
        })
    }
}

fn work(arguments: &Arguments, out: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "counterutil")?;
    site.act_as_server()?;
    let registry = arguments.registry.clone().unwrap_or_else(|| counter_file(&site.instance.counter_dir()));
    let place = Place { site, registry };
    if arguments.prometheus {
        return out.write_all(prometheus::text(&place)?.as_bytes()).map_err(broken);
    }
    let Some(name) = &arguments.object else { return list(&place, arguments.json, out) };
    let object = Object::named(name)?;
    match &arguments.counter {
        Some(counter) if arguments.set => reset(&place, object, counter, out),
        only => monitor(&place, object, only.as_deref(), arguments, out),
    }
}

fn list(place: &Place, as_json: bool, out: &mut dyn Write) -> Result<(), String> {
    let reading = place.reading()?;
    let live: usize = SERVICES.iter().map(|service| reading.live(service)).sum();
    let made = reading.made();
    let changed = std::fs::metadata(&place.registry).map_err(broken)?;
    let changed = changed.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let changed = changed.map_or(made, Timestamp::as_second);
    let registry = place.registry.display().to_string();
    if as_json {
        let names: Vec<String> = Object::all().map(|object| quote(object.name())).collect();
        return writeln!(
            out,
            "{{\"registry\":{},\"processes\":{live},\"created\":{made},\"objects\":[{}]}}",
            quote(&registry),
            names.join(",")
        )
        .map_err(broken);
    }
    let head = format!(
        "Listing registry ({registry})\nnumobjects = {}\nrefcount = {live}\ncreated = {}\nmodified = {}\n",
        Object::all().count(),
        moment(made),
        moment(changed)
    );
    writeln!(out, "{head}").map_err(broken)?;
    Object::all().try_for_each(|object| writeln!(out, "entry = {}", object.name()).map_err(broken))
}

fn monitor(
    place: &Place,
    object: Object,
    only: Option<&str>,
    arguments: &Arguments,
    out: &mut dyn Write,
) -> Result<(), String> {
    let mut looks = 0u64;
    loop {
        looks += 1;
        let rows = chosen(object.rows(place)?, object, only)?;
        if arguments.json {
            writeln!(out, "{}", as_json(object, &rows)).map_err(broken)?;
        } else {
            if looks == 1 {
                let registry = place.registry.display();
                let name = object.name();
                writeln!(
                    out,
                    "Monitor counterobject ({name})\nregistry {registry} opened\ncounterobject {name} opened\n"
                )
                .map_err(broken)?;
            }
            writeln!(out, "count = {looks} at {}\n", base::clock::unix_seconds()).map_err(broken)?;
            rows.iter().try_for_each(|row| writeln!(out, "{}", line(row))).map_err(broken)?;
            writeln!(out).map_err(broken)?;
        }
        out.flush().map_err(broken)?;
        if arguments.iterations.is_some_and(|most| looks >= most) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(arguments.interval));
    }
}

/// The rows that `-c` names; all without it.
fn chosen(rows: Vec<Row>, object: Object, only: Option<&str>) -> Result<Vec<Row>, String> {
    let Some(only) = only else { return Ok(rows) };
    let is_meant = |row: &Row| row.counter == only || format!("{}.{}", row.instance, row.counter) == only;
    let found: Vec<Row> = rows.into_iter().filter(is_meant).collect();
    if found.is_empty() { Err(unknown_counter(object, only)) } else { Ok(found) }
}

fn unknown_counter(object: Object, name: &str) -> String {
    format!("{} has no counter {}", object.name(), base::escape(name))
}

/// `-s`: sums only; what is now, or when it was, is not for somebody to say.
fn reset(place: &Place, object: Object, name: &str, out: &mut dyn Write) -> Result<(), String> {
    let (service, counter) = match name.split_once('.') {
        Some((service, counter)) if service != "global" => (Some(service), counter),
        Some((_, counter)) => (None, counter),
        None => (None, name),
    };
    let no_sum = || format!("{} is no sum: it cannot be set", base::escape(name));
    let definitions = object.definitions();
    let Some(definition) = definitions.iter().find(|one| one.name == counter) else {
        let rows = object.rows(place).unwrap_or_default();
        let is_there = rows.iter().any(|row| row.counter == counter);
        return Err(if is_there { no_sum() } else { unknown_counter(object, name) });
    };
    if definition.kind != Kind::Sum {
        return Err(no_sum());
    }
    let services = object.services();
    if service.is_some_and(|service| !services.contains(&service)) {
        return Err(unknown_counter(object, name));
    }
    let reading = place.reading()?;
    for one in services.iter().filter(|one| service.is_none_or(|service| service == **one)) {
        reading.reset(definition.counter, Some(one));
    }
    writeln!(out, "{} of {} is 0", name, object.name()).map_err(broken)
}

/// `20/Oct/2000:15:53:37 -0700`, local time; `never` for 0.
fn moment(second: i64) -> String {
    if second == 0 {
        return "never".to_owned();
    }
    let time = Timestamp::from_second(second).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    time.strftime("%d/%b/%Y:%H:%M:%S %z").to_string()
}

/// `global.numConnections [8 bytes]: 17`
fn line(row: &Row) -> String {
    let (bytes, text) = match &row.value {
        Value::Number(number) => (8, number.to_string()),
        Value::Moment(second) => (8, moment(*second)),
        Value::Text(text) => (text.len(), base::escape(text)),
    };
    format!("{}.{} [{bytes} bytes]: {text}", row.instance, row.counter)
}

/// Times are seconds since 1970.
fn as_json(object: Object, rows: &[Row]) -> String {
    let values: Vec<String> = rows
        .iter()
        .map(|row| {
            let value = match &row.value {
                Value::Number(number) => number.to_string(),
                Value::Moment(second) => second.to_string(),
                Value::Text(text) => quote(text),
            };
            format!("{}:{value}", quote(&format!("{}.{}", row.instance, row.counter)))
        })
        .collect();
    let (name, now) = (quote(object.name()), base::clock::unix_seconds());
    format!("{{\"object\":{name},\"time\":{now},\"values\":{{{}}}}}", values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_the_original_printed_it() {
        let row = |value| Row { instance: "global".into(), counter: "numConnections", value };
        assert_eq!(line(&row(Value::Number(17))), "global.numConnections [8 bytes]: 17");
        assert_eq!(line(&row(Value::Moment(0))), "global.numConnections [8 bytes]: never");
        assert_eq!(line(&row(Value::Text("/a\n".into()))), "global.numConnections [3 bytes]: /a\\n");
        let time = moment(972_082_417);
        assert!(time.len() == "20/Oct/2000:15:53:37 -0700".len() && time.contains("/Oct/2000:"), "{time}");
    }

    #[test]
    fn what_is_asked_for_must_be_one_thing() {
        let status = |arguments: &[&str]| {
            let given = std::iter::once("counterutil").chain(arguments.iter().copied()).map(OsString::from);
            run(given, &mut Vec::new(), &mut Vec::new())
        };
        for wrong in [
            &[][..],
            &["-l", "-o", "imapstat"],
            &["-s", "-o", "imapstat"],
            &["-s", "-l"],
            &["-o", "imapstat", "-i", "0"],
            &["-o", "imapstat", "-n", "x"],
            &["--json", "--prometheus"],
        ] {
            assert_eq!(status(wrong), 2, "{wrong:?}");
        }
    }
}
