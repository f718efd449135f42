//! Writes figures as people read them, and tables of them into Markdown between two marks.

use std::fs;

/// Whether this run is recorded: `DORMOUSE_RECORD=1`.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os("DORMOUSE_RECORD").is_some_and(|value| value == "1")
}

/// A time in nanoseconds with two significant digits, or three from 1 to 2.
pub(crate) fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 995.0 => (ns, "ns"),
        ns if ns < 995_000.0 => (ns / 1e3, "us"),
        ns if ns < 995_000_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// A number with two significant digits, or three from 1 to 2, where a tenth is much. It rounds no
/// digit before the point.
pub(crate) fn digits(value: f64) -> String {
    let magnitude = value.abs().max(1e-9).log10().floor() as i32;
    let leading = value.abs() / 10f64.powi(magnitude);
    let decimals = (i32::from(leading < 2.0) + 1 - magnitude).max(0) as usize;
    format!("{value:.decimals$}")
}

/// The machine, as it names itself.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']).trim();
    let model = if model.is_empty() { std::env::consts::ARCH } else { model };
    let virtual_machine = if cpu.contains(" hypervisor") { ", a virtual machine" } else { "" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split(['-', '\n']).next().unwrap_or_default();
    format!("{model}, {cores} cores{virtual_machine}, {} {kernel}", std::env::consts::OS)
}

/// Rows of cells as a Markdown table. The first row is its head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        text += &format!("| {} |\n", row.join(" | "));
        if at == 0 {
            text += &format!("|{}\n", "---|".repeat(row.len()));
        }
    }
    text
}

/// Puts a text between `<!-- name -->` and `<!-- /name -->` in a file of this repository, instead
/// of what was there.
pub(crate) fn write(file: &str, name: &str, text: &str) {
    let path = format!("{}/{file}", crate::REPOSITORY);
    let old = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from = old.find(&begin).unwrap_or_else(|| panic!("{file} has no `{begin}`")) + begin.len();
    let to = from + old[from..].find(&end).unwrap_or_else(|| panic!("{file} has no `{end}`"));
    let new = format!("{}\n{}\n{}", &old[..from], text.trim_end(), &old[to..]);
    fs::write(&path, new).unwrap_or_else(|error| panic!("{path}: {error}"));
    println!("{file}: wrote {name}");
}
