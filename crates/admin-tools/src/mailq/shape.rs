//! Which domains wait, and for how long: counts by age, each column twice as old as the one before.

use std::collections::BTreeMap;
use std::io::Write;

use crate::selection::Selection;
use crate::site::broken;

/// Minutes; what is older stands in one column more.
const AGES: [i64; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];
const COLUMNS: usize = AGES.len() + 1;

pub fn tell(queue: &super::Queue, selection: &Selection, out: &mut dyn Write) -> Result<(), String> {
    let now = base::clock::unix_seconds();
    let mut rows: BTreeMap<String, [usize; COLUMNS]> = BTreeMap::new();
    let mut total = [0; COLUMNS];
    super::each(queue, selection, &mut |folder, _, envelope| {
        let Ok(envelope) = envelope else { return Ok(()) };
        let column = column(now.saturating_sub(envelope.arrived()));
        total[column] += 1;
        for domain in super::domains(folder, &envelope) {
            rows.entry(domain).or_default()[column] += 1;
        }
        Ok(())
    })?;
    let names: String = AGES.iter().map(|age| format!("{age:>6}")).collect();
    writeln!(out, "{:>8}{names}{:>6} Destination", "All", "1280+").map_err(broken)?;
    write_row("TOTAL", &total, out)?;
    // Those with most mail first.
    let mut rows: Vec<(String, [usize; COLUMNS])> = rows.into_iter().collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.iter().sum::<usize>()));
    rows.iter().try_for_each(|(domain, row)| write_row(domain, row, out))
}

fn column(age_seconds: i64) -> usize {
    AGES.iter().position(|minutes| age_seconds < minutes * 60).unwrap_or(AGES.len())
}

fn write_row(name: &str, row: &[usize; COLUMNS], out: &mut dyn Write) -> Result<(), String> {
    let cells: String = row.iter().map(|count| format!("{count:>6}")).collect();
    writeln!(out, "{:>8}{cells} {}", row.iter().sum::<usize>(), base::escape(name)).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_stands_below_the_first_limit_that_it_has_not_reached() {
        assert_eq!([-5, 0, 299, 300, 599, 76_799, 76_800].map(column), [0, 0, 0, 1, 1, 8, 9]);
    }
}
