//! Writes the tables of benches/README.md, from the medians that criterion has just written.

use std::fs;

use serde_json::Value as Json;

use crate::{
    ESTIMATES, cold, dirty, instance, invoke,
    record::{digits, machine, table, time, write},
    threads,
};

const FILE: &str = "benches/README.md";

/// Writes all of them. It fails if a figure is missing, as when only a part of the benches has run.
pub(crate) fn record() {
    write(FILE, "machine", &format!("Last recorded on: {}.", machine()));
    write(FILE, "memory", &starts("memory", invoke::MEMORIES.map(|pages| (pages, pages_of(pages)))));
    write(FILE, "functions", &starts("functions", invoke::FUNCTIONS.map(|count| (count, count.to_string()))));
    write(FILE, "dirty", &dirty_pages());
    write(FILE, "heavy", &heavy());
    write(FILE, "threads", &threads());
    write(FILE, "call", &call());
    write(FILE, "instance", &instances());
    write(FILE, "cold", &cold_starts());
}

/// The median of one bench, in nanoseconds.
fn median(group: &str, name: &str) -> f64 {
    let path = format!("{ESTIMATES}/{}/{name}/new/estimates.json", group.replace('/', "_"));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}. A record is made of a whole run, without a filter"));
    let estimates: Json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    estimates["median"]["point_estimate"].as_f64().unwrap_or_else(|| panic!("{path}: no median"))
}

fn pages_of(pages: u32) -> String {
    if pages == 1 { "1 page".into() } else { format!("{pages} pages") }
}

fn head(cells: &[&str]) -> Vec<Vec<String>> {
    vec![cells.iter().map(|cell| (*cell).to_owned()).collect()]
}

/// One row: times by name, then ratios by pairs of names.
fn row(label: String, group: &str, names: &[&str], ratios: &[(&str, &str)]) -> Vec<String> {
    let times = names.iter().map(|name| time(median(group, name)));
    let ratios = ratios.iter().map(|(over, under)| digits(median(group, over) / median(group, under)));
    [label].into_iter().chain(times).chain(ratios).collect()
}

fn starts<const N: usize>(axis: &str, rows: [(u32, String); N]) -> String {
    let names = ["floor", "warm", "warm_into", "warm_gated", "warm_scanned", "warm_portable", "cold", "fresh"];
    let mut head_cells = vec![axis];
    head_cells.extend(names.iter());
    head_cells.extend(["`warm` / `floor`", "`fresh` / `warm`", "`cold` / `fresh`"]);
    let mut cells = head(&head_cells);
    for (value, label) in rows {
        let ratios = [("warm", "floor"), ("fresh", "warm"), ("cold", "fresh")];
        cells.push(row(label, &format!("{axis}/{value}"), &names, &ratios));
    }
    table(&cells)
}

fn dirty_pages() -> String {
    let names = ["floor", "warm", "warm_scanned", "warm_portable", "fresh"];
    let mut cells = head(&[
        "memory",
        "dirty",
        "floor",
        "warm",
        "warm_scanned",
        "warm_portable",
        "fresh",
        "`warm` less `floor`, each page",
    ]);
    for (memory, counts) in dirty::DIRTY {
        for dirty in counts {
            let group = format!("dirty/{memory}/{dirty}");
            let mut cells_of = row(dirty.to_string(), &group, &names, &[]);
            cells_of.insert(0, pages_of(memory));
            cells_of.push(time((median(&group, "warm") - median(&group, "floor")) / f64::from(*dirty)));
            cells.push(cells_of);
        }
    }
    table(&cells)
}

fn heavy() -> String {
    let mut cells = head(&["never", "next", "later", "`later` / `never`"]);
    let times = ["never", "next", "later"].map(|name| time(median("heavy", name)));
    let ratio = digits(median("heavy", "later") / median("heavy", "never"));
    cells.push(times.into_iter().chain([ratio]).collect());
    table(&cells)
}

/// Events a second, in millions.
fn threads() -> String {
    let names = ["warm", "floor", "floor_own_engine", "fresh"];
    let mut cells = head(&["threads"]);
    cells[0].extend(names.map(|name| format!("{name}, million events/s")));
    cells[0].extend(names.map(|name| format!("{name}, against 1 thread")));
    for threads in threads::THREADS {
        let rate = |threads: u32, name| f64::from(threads) * 1e3 / median(&format!("threads/{threads}"), name);
        let rates = names.map(|name| digits(rate(threads, name)));
        let gains = names.map(|name| digits(rate(threads, name) / rate(1, name)));
        cells.push([threads.to_string()].into_iter().chain(rates).chain(gains).collect());
    }
    table(&cells)
}

fn call() -> String {
    let names = ["floor", "floor_by_name", "warm", "session"];
    let mut cells = head(&names);
    cells[0].push("`warm` less `floor`".into());
    let less = time(median("call", "warm") - median("call", "floor"));
    cells.push(names.map(|name| time(median("call", name))).into_iter().chain([less]).collect());
    table(&cells)
}

fn instances() -> String {
    let names = ["raw", "ours", "raw_kept", "ours_kept"];
    let mut cells =
        head(&["memory", "raw", "ours", "raw_kept", "ours_kept", "`ours` / `raw`", "`ours_kept` / `raw_kept`"]);
    for pages in instance::MEMORIES {
        let ratios = [("ours", "raw"), ("ours_kept", "raw_kept")];
        cells.push(row(pages_of(pages), &format!("instance/{pages}"), &names, &ratios));
    }
    table(&cells)
}

fn cold_starts() -> String {
    let names = ["raw", "ours", "replacing"];
    let mut cells = head(&["guest", "raw", "ours", "replacing", "`ours` / `raw`"]);
    let written = cold::WRITTEN.iter().map(|(name, _)| *name);
    for name in written.chain(cold::BUILT.iter().map(|(name, ..)| *name)) {
        cells.push(row(format!("`{name}`"), &format!("cold/{name}"), &names, &[("ours", "raw")]));
    }
    table(&cells)
}
