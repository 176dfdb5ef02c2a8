//! Everything that is counted, in the text exposition format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>): a family is its HELP, its TYPE and its samples together.

use std::fmt::Write as _;

use counters::{DEFINITIONS, Group, Kind, SERVICES};

use super::Place;
use super::objects::{LISTENING, disks, watched};

/// # Errors
/// One line: there is no file of counters, or it is damaged.
pub fn text(place: &Place) -> Result<String, String> {
    let reading = place.reading()?;
    let mut text = String::new();
    let live = SERVICES.map(|service| (vec![("service", service.to_owned())], reading.live(service) as u64));
    family(&mut text, "processes", "Processes that count now.", "gauge", &live);
    for definition in DEFINITIONS {
        let services: &[&str] = match definition.group {
            Group::Sessions | Group::Dispatcher => &LISTENING,
            Group::Store | Group::Directory => &SERVICES,
            Group::Queue => &[],
        };
        let of = |service: &&str| {
            (vec![("service", (*service).to_owned())], reading.value(definition, Some(service)))
        };
        let mut samples: Vec<Sample> = services.iter().map(of).collect();
        if services.is_empty() {
            samples.push((Vec::new(), reading.value(definition, None)));
        }
        let kind = if definition.kind == Kind::Sum { "counter" } else { "gauge" };
        family(&mut text, definition.metric, definition.about, kind, &samples);
    }
    add_disks(&mut text, place);
    add_alarms(&mut text, place)?;
    Ok(text)
}

/// Labels, and the value.
type Sample = (Vec<(&'static str, String)>, u64);

fn family(text: &mut String, name: &str, about: &str, kind: &str, samples: &[Sample]) {
    let _ = write!(text, "# HELP mailboat_{name} {about}\n# TYPE mailboat_{name} {kind}\n");
    for (labels, value) in samples {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(text, "mailboat_{name}{labels} {value}");
    }
}

/// Of label values: backslash, quote and line feed.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn add_disks(text: &mut String, place: &Place) {
    let disks = disks(&place.site.instance, &place.site.config);
    let samples = |of: fn((u64, u64)) -> u64| -> Vec<Sample> {
        let one = |disk: &super::objects::Disk| Some((vec![("place", disk.name.clone())], of(disk.space?)));
        disks.iter().filter_map(one).collect()
    };
    family(text, "disk_free_bytes", "Bytes free for mail.", "gauge", &samples(|(free, _)| free));
    family(text, "disk_size_bytes", "Bytes of the file system.", "gauge", &samples(|(_, whole)| whole));
}

fn add_alarms(text: &mut String, place: &Place) -> Result<(), String> {
    let all = watched(place)?;
    let samples = |of: fn(&counters::alarms::Watched) -> u64| -> Vec<Sample> {
        let labels = |one: &counters::alarms::Watched| {
            vec![("alarm", one.alarm.clone()), ("what", one.instance.clone())]
        };
        all.iter().map(|one| (labels(one), of(one))).collect()
    };
    let value = "What it was at the last look: percent free, or seconds.";
    family(text, "alarm_value", value, "gauge", &samples(|one| one.current));
    let over = "1 beyond the threshold.";
    family(text, "alarm_over_threshold", over, "gauge", &samples(|one| u64::from(one.is_over)));
    family(text, "alarm_warnings_total", "Warnings.", "counter", &samples(|one| one.warned));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_its_samples() {
        let mut text = String::new();
        family(&mut text, "x_total", "Things.", "counter", &[(vec![("place", "a\"b\\\n".into())], 3)]);
        let expected = "# HELP mailboat_x_total Things.\n# TYPE mailboat_x_total counter\nmailboat_x_total{place=\"a\\\"b\\\\\\n\"} 3\n";
        assert_eq!(text, expected);
    }
}
