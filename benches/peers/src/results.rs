//! Medians by table, row and contender, and the file that keeps the medians of one run.

use std::fs;

use crate::contenders::Peer;

/// It stands beside the sources, so that tables and chart can be made again.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results.tsv");

/// The results of one run.
pub(crate) struct Results {
    pub(crate) machine: String,
    lines: Vec<Line>,
}

struct Line {
    table: String,
    row: String,
    peer: Peer,
    nanoseconds: f64,
}

impl Results {
    pub(crate) fn new(machine: String) -> Self {
        println!("# {machine}");
        Self { machine, lines: Vec::new() }
    }

    /// Adds a row, and prints it.
    pub(crate) fn add(&mut self, table: &str, row: &str, medians: Vec<(Peer, f64)>) {
        for (peer, nanoseconds) in medians {
            let line = Line { table: table.to_owned(), row: row.to_owned(), peer, nanoseconds };
            print!("{}", line.text());
            self.lines.push(line);
        }
    }

    /// One median, in nanoseconds.
    pub(crate) fn get(&self, table: &str, row: &str, peer: Peer) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.table == table && line.row == row && line.peer == peer);
        line.map(|line| line.nanoseconds)
    }

    /// The rows of a table, in their order.
    pub(crate) fn rows(&self, table: &str) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for line in self.lines.iter().filter(|line| line.table == table) {
            if !rows.contains(&&*line.row) {
                rows.push(&line.row);
            }
        }
        rows
    }

    pub(crate) fn write(&self) {
        let lines: String = self.lines.iter().map(Line::text).collect();
        fs::write(FILE, format!("# {}\n{lines}", self.machine)).unwrap_or_else(|error| panic!("{FILE}: {error}"));
    }

    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(FILE).unwrap_or_else(|error| panic!("{FILE}: {error}"));
        let (machine, lines) = text.split_once('\n').expect("a line with the machine");
        let line = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [table, row, peer, nanoseconds] = cells[..] else { panic!("{FILE}: no line of four cells: {line}") };
            let peer = Peer::ALL.into_iter().find(|known| known.name() == peer);
            Line {
                table: table.to_owned(),
                row: row.to_owned(),
                peer: peer.unwrap_or_else(|| panic!("{FILE}: an unknown contender: {line}")),
                nanoseconds: nanoseconds.parse().unwrap_or_else(|_| panic!("{FILE}: no number: {line}")),
            }
        };
        Self { machine: machine.trim_start_matches("# ").to_owned(), lines: lines.lines().map(line).collect() }
    }
}

impl Line {
    fn text(&self) -> String {
        format!("{}\t{}\t{}\t{:.1}\n", self.table, self.row, self.peer.name(), self.nanoseconds)
    }
}
