//! Writes the results as tables: the one of the README, and the longer ones of benches/README.md.

use crate::{
    contenders::Peer,
    record::{digits, table, time, write},
    results::Results,
};

const README: &str = "README.md";
const BENCHES: &str = "benches/README.md";

pub(crate) fn publish(results: &Results) {
    let machine = format!("Medians of one run on: {}.", results.machine);
    write(README, "peers", &format!("{}\n{machine}", echoes(results)));
    write(BENCHES, "peers-machine", &machine);
    write(BENCHES, "peers-echo", &echoes(results));
    write(BENCHES, "peers-cold", &by_row(results, "cold", "guest", label_cold));
    write(BENCHES, "peers-work", &by_row(results, "work", "guest", label));
    write(BENCHES, "peers-threads", &threads(results));
}

/// The name of a contender in tables.
pub(crate) fn label(peer: Peer) -> &'static str {
    match peer {
        Peer::Dormouse => "**dormouse**, warm",
        Peer::WasmiFloor => "wasmi, one instance, nothing cleaned",
        Peer::WasmiFresh => "wasmi, fresh instance",
        Peer::Wasmtime => "Wasmtime, fresh pooled instance",
        Peer::WasmtimeScan => "Wasmtime, fresh pooled instance, PAGEMAP_SCAN",
        Peer::Winch => "Wasmtime, Winch",
        Peer::ExtismKept => "Extism, one plug-in, nothing cleaned",
        Peer::ExtismNew => "Extism, fresh plug-in",
        Peer::Wasm3 => "Wasm3, from bytes",
    }
}

fn label_cold(peer: Peer) -> &'static str {
    match peer {
        Peer::Dormouse => "**dormouse**",
        Peer::WasmiFresh => "wasmi, lazy translation",
        Peer::Wasmtime => "Wasmtime, Cranelift",
        other => label(other),
    }
}

/// A table with one contender a row, the fastest first, at common memory sizes.
fn echoes(results: &Results) -> String {
    let sizes = [("1", "64 KiB"), ("17", "1 MiB"), ("256", "16 MiB")];
    let mut cells =
        vec![["", "stateless", "64 KiB", "1 MiB", "16 MiB", "1 MiB, against dormouse"].map(str::to_owned).to_vec()];
    for (peer, middle) in by_time(results, "echo", "17") {
        let stateless = if peer.is_stateless() { "yes" } else { "no" };
        let times = sizes.map(|(row, _)| results.get("echo", row, peer).map_or_else(String::new, time));
        let ours = results.get("echo", "17", Peer::Dormouse).unwrap_or(middle);
        let ratio = format!("x {}", digits(middle / ours));
        cells.push([label(peer).to_owned(), stateless.to_owned()].into_iter().chain(times).chain([ratio]).collect());
    }
    table(&cells)
}

/// A table with one row of results a row, and one contender a column.
fn by_row(results: &Results, name: &str, head: &str, label: fn(Peer) -> &'static str) -> String {
    let rows = results.rows(name);
    let peers: Vec<Peer> = rows
        .first()
        .map(|row| by_time(results, name, row))
        .unwrap_or_default()
        .into_iter()
        .map(|(peer, _)| peer)
        .collect();
    let mut cells =
        vec![[head].into_iter().chain(peers.iter().map(|peer| label(*peer))).map(str::to_owned).collect::<Vec<_>>()];
    for row in rows {
        let times = peers.iter().map(|peer| results.get(name, row, *peer).map_or_else(String::new, time));
        cells.push([format!("`{row}`")].into_iter().chain(times).collect());
    }
    table(&cells)
}

/// Events a second.
fn threads(results: &Results) -> String {
    let rate = |threads: f64, row: &str, peer| {
        results.get("threads", row, peer).map_or(f64::NAN, |nanoseconds| threads * 1e9 / nanoseconds)
    };
    let head = ["", "1 thread", "2 threads", "2 / 1", "dormouse on 2 threads, against it"];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    for (peer, _) in by_time(results, "threads", "2") {
        let (one, two, ours) = (rate(1.0, "1", peer), rate(2.0, "2", peer), rate(2.0, "2", Peer::Dormouse));
        let million = |rate: f64| format!("{} million/s", digits(rate / 1e6));
        cells.push(vec![
            label(peer).to_owned(),
            million(one),
            million(two),
            digits(two / one),
            format!("x {}", digits(ours / two)),
        ]);
    }
    table(&cells)
}

/// The contenders of a row, the fastest first.
fn by_time(results: &Results, table: &str, row: &str) -> Vec<(Peer, f64)> {
    let mut found: Vec<_> =
        Peer::ALL.into_iter().filter_map(|peer| results.get(table, row, peer).map(|time| (peer, time))).collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found
}
