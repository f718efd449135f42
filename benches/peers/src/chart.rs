//! Draws the chart as SVG: time per invocation by the size of the guest's memory, both on a
//! logarithmic scale.
//!
//! It has its own ground, so that people can read it on light and on dark pages. It uses any
//! sans-serif font.

use std::{fmt::Write, fs};

use crate::{contenders::Peer, record::time, results::Results};

const FILE: &str = "benches/invoke.svg";

/// Bytes of a page of memory.
const PAGE: f64 = 65536.0;

// The drawing, in its own units, and within it the field of the lines.
const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 490.0;

/// The distance between the lines of two labels.
const LABEL: f64 = 22.0;

/// The styles that do not depend on a line's colour, then the colours for the light ground and for
/// the dark one. It has no custom properties, as some programs that draw SVG do not know them.
const STYLE: &str = "
  text { font-family: system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; font-size: 14px }
  text, circle, .ground { fill: currentColor }
  .line, .leader, .grid { stroke: currentColor }
  .title { font-size: 18px; font-weight: 600 }
  .faint { font-size: 13px }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .leader { fill: none; stroke-width: 1; opacity: 0.6 }
  .ours .line { stroke-width: 4 }
  .ours text { font-weight: 700 }
  .traces .line { stroke-dasharray: 6 5 }
";

/// Class, colour on light, colour on dark. People with any kind of colour blindness can tell the
/// lines apart. Each line has its name beside it.
const COLOURS: [(&str, &str, &str); 9] = [
    ("ground", "#ffffff", "#0d1117"),
    ("ink", "#1f2328", "#e6edf3"),
    ("faint", "#59636e", "#9198a1"),
    ("grid", "#d8dee4", "#2f353d"),
    ("ours", "#c2410c", "#ff8a4c"),
    ("wasmi", "#0969da", "#58a6ff"),
    ("wasmtime", "#7c3aed", "#b794f6"),
    ("extism", "#047857", "#3fb98a"),
    ("wasm3", "#9a6700", "#d9a520"),
];

/// Draws the table of the echoes.
pub(crate) fn draw(results: &Results) {
    let path = format!("{}/{FILE}", crate::REPOSITORY);
    fs::write(&path, svg(results)).unwrap_or_else(|error| panic!("{path}: {error}"));
    println!("{FILE}: drawn");
}

/// One contender's line.
struct Series {
    peer: Peer,
    /// Bytes of memory and nanoseconds.
    points: Vec<(f64, f64)>,
    label_y: f64,
}

fn svg(results: &Results) -> String {
    let rows = results.rows("echo");
    let bytes = |row: &str| row.parse::<f64>().expect("rows of echo are pages") * PAGE;
    let mut all: Vec<Series> = Vec::new();
    for peer in Peer::ALL {
        let points: Vec<_> =
            rows.iter().filter_map(|row| results.get("echo", row, peer).map(|time| (bytes(row), time))).collect();
        if !points.is_empty() {
            all.push(Series { peer, points, label_y: 0.0 });
        }
    }
    let xs = || rows.iter().map(|row| bytes(row));
    let ys = || all.iter().flat_map(|series| &series.points).map(|(_, time)| *time);
    let x = scale(xs().fold(f64::MAX, f64::min), xs().fold(0.0, f64::max), LEFT, RIGHT);
    // Whole powers of ten.
    let least = 10f64.powf(ys().fold(f64::MAX, f64::min).log10().floor());
    let most = 10f64.powf(ys().fold(0.0, f64::max).log10().ceil());
    let y = scale(least, most, BOTTOM, TOP);

    let rules = |pick: fn(&(&str, &str, &str)) -> String| COLOURS.iter().map(pick).collect::<String>();
    let light = rules(|(class, light, _)| format!("  .{class} {{ color: {light} }}\n"));
    let dark = rules(|(class, _, dark)| format!("    .{class} {{ color: {dark} }}\n"));
    let style = format!("{light}  @media (prefers-color-scheme: dark) {{\n{dark}  }}{STYLE}");
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"Time per invocation against memory size: dormouse and others\">\n<style>\n{style}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" class=\"ground\"/>\n"
    );
    text(&mut svg, (24.0, 36.0), "title ink", "start", "One invocation, by the size of the guest's memory");
    let subtitle =
        "An echo of 256 bytes; lower is better. Dashed: what one invocation leaves behind, the next can read.";
    text(&mut svg, (24.0, 58.0), "faint", "start", subtitle);

    let mut tick = least;
    while tick <= most * 1.01 {
        let at = y(tick);
        let _ = writeln!(svg, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\"/>");
        text(&mut svg, (LEFT - 10.0, at + 5.0), "faint", "end", &power(tick));
        tick *= 10.0;
    }
    for row in &rows {
        let at = x(bytes(row));
        let end = BOTTOM + 5.0;
        let _ = writeln!(svg, "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{BOTTOM}\" x2=\"{at:.1}\" y2=\"{end}\"/>");
        text(&mut svg, (at, BOTTOM + 23.0), "faint", "middle", &size(bytes(row)));
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    text(&mut svg, (middle, BOTTOM + 48.0), "faint", "middle", "linear memory of the guest (logarithmic)");
    let turned = f64::midpoint(TOP, BOTTOM);
    let _ = writeln!(
        svg,
        "<text class=\"faint\" text-anchor=\"middle\" transform=\"translate(22 {turned}) rotate(-90)\">time of one \
         invocation (logarithmic)</text>"
    );

    place_labels(&mut all, &y);
    // This library's line goes on top.
    all.sort_by_key(|series| series.peer == Peer::Dormouse);
    for series in &all {
        let traces = if series.peer.is_stateless() { "" } else { " traces" };
        let path: Vec<String> =
            series.points.iter().map(|(bytes, time)| format!("{:.1},{:.1}", x(*bytes), y(*time))).collect();
        let path = path.join(" ");
        let _ =
            writeln!(svg, "<g class=\"{}{traces}\">\n<polyline class=\"line\" points=\"{path}\"/>", class(series.peer));
        for (bytes, time) in &series.points {
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"/>", x(*bytes), y(*time));
        }
        let Some((_, last)) = series.points.last() else { continue };
        let (from, to, at, label_y) = (RIGHT + 6.0, RIGHT + 26.0, y(*last), series.label_y);
        let _ = writeln!(svg, "<polyline class=\"leader\" points=\"{from},{at:.1} {to},{label_y:.1}\"/>");
        let words = format!("{}, {}", label(series.peer), time(*last));
        text(&mut svg, (to + 5.0, label_y + 5.0), class(series.peer), "start", &words);
        svg += "</g>\n";
    }
    svg += "</svg>\n";
    svg
}

/// The place of a value, by logarithms.
fn scale(least: f64, most: f64, from: f64, to: f64) -> impl Fn(f64) -> f64 {
    move |value| from + (to - from) * (value / least).ln() / (most / least).ln()
}

/// Places labels beside the ends of their lines, within the field. It pushes them apart if they
/// would overlap.
fn place_labels(all: &mut [Series], y: &impl Fn(f64) -> f64) {
    all.sort_by(|a, b| {
        let last = |series: &Series| series.points.last().map_or(0.0, |(_, time)| *time);
        last(b).total_cmp(&last(a))
    });
    let mut above = f64::MIN;
    for series in all.iter_mut() {
        let wanted = series.points.last().map_or(BOTTOM, |(_, time)| y(*time));
        series.label_y = wanted.max(above + LABEL);
        above = series.label_y;
    }
    let mut below = BOTTOM + LABEL;
    for series in all.iter_mut().rev() {
        series.label_y = series.label_y.min(below - LABEL);
        below = series.label_y;
    }
}

fn label(peer: Peer) -> &'static str {
    match peer {
        Peer::Dormouse => "dormouse",
        Peer::WasmiFloor => "wasmi, one instance",
        Peer::WasmiFresh => "wasmi, fresh instance",
        Peer::Wasmtime => "Wasmtime, pooled",
        Peer::WasmtimeScan => "Wasmtime, PAGEMAP_SCAN",
        Peer::Winch => "Wasmtime, Winch",
        Peer::ExtismKept => "Extism, one plug-in",
        Peer::ExtismNew => "Extism, fresh plug-in",
        Peer::Wasm3 => "Wasm3, from bytes",
    }
}

fn class(peer: Peer) -> &'static str {
    match peer {
        Peer::Dormouse => "ours",
        Peer::WasmiFloor | Peer::WasmiFresh => "wasmi",
        Peer::Wasmtime | Peer::WasmtimeScan | Peer::Winch => "wasmtime",
        Peer::ExtismKept | Peer::ExtismNew => "extism",
        Peer::Wasm3 => "wasm3",
    }
}

/// A power of ten of nanoseconds.
fn power(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 999.0 => (ns, "ns"),
        ns if ns < 999_000.0 => (ns / 1e3, "us"),
        ns => (ns / 1e6, "ms"),
    };
    format!("{value:.0} {unit}")
}

fn size(bytes: f64) -> String {
    let kib = bytes / 1024.0;
    if kib < 1000.0 { format!("{kib:.0} KiB") } else { format!("{:.0} MiB", kib / 1024.0) }
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, words: &str) {
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}
