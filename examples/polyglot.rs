//! One handler in five languages: they answer the same, at different cost. `examples/guests` has
//! their sources and says how they are built.
//!
//! ```text
//! $ cargo run --release --example polyglot
//! language        contract     size       cold       warm        fuel
//! C               command     19 KiB    11.6 us     6.1 us       43103
//! Rust            buffer      22 KiB    58.7 us     3.6 us        9345
//! Zig             buffer       5 KiB    59.5 us     4.8 us       12397
//! AssemblyScript  buffer       7 KiB    10.9 us     6.0 us        7814
//! Go              buffer    2376 KiB   295.8 us    70.3 us      912392
//!
//! All answer {"lines":2,"words":8,"bytes":44}
//! ```
//!
//! The handler in C is an ordinary program, which reads the event from standard input. The others
//! are libraries that follow the buffer contract. The runtime sees which by their imports and
//! exports.
//!
//! Times are medians. Cold times do not include translation, which the very first invocation does.
//! Go's module is large, so it is not in the repository: `examples/guests/build.sh go` builds it.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    time::{Duration, Instant},
};

use dormouse::{Function, Runtime, StartKind};

const EVENT: &str = "A dormouse sleeps,\nuntil an event wakes it.\n";
const ANSWER: &str = r#"{"lines":2,"words":8,"bytes":44}"#;

/// More events, which are not timed.
const OTHERS: [&str; 4] = ["", "one", " \t\r\n\n", "zwei Wörter\n\u{1f42d}"];

const LANGUAGES: [(&str, &str); 5] =
    [("C", "c"), ("Rust", "rust"), ("Zig", "zig"), ("AssemblyScript", "as"), ("Go", "go")];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/guests");
    let runtime = Runtime::new();
    let mut answers: Option<Vec<Vec<u8>>> = None;
    println!("language        contract     size       cold       warm        fuel");
    for (language, short) in LANGUAGES {
        let module = match fs::read(folder.join(format!("wordcount.{short}.wasm"))) {
            Ok(module) => module,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("{language:14}  not built");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let function = runtime.deploy(&format!("wordcount.{short}"), &module)?;

        let reply = function.invoke(EVENT.as_bytes())?;
        assert_eq!(reply.output(), ANSWER.as_bytes(), "{language}");
        let others = OTHERS.iter().map(|event| Ok(function.invoke(event.as_bytes())?.into_output()));
        let others = others.collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
        assert_eq!(*answers.get_or_insert_with(|| others.clone()), others, "{language}");

        let cold = median(20, || {
            function.trim(Duration::ZERO);
            time(&function, StartKind::Cold)
        })?;
        // A guest that grows its memory has no warm start. A memory cannot shrink, so its instance
        // is replaced.
        let warm = median(1_000, || time(&function, StartKind::Warm))?;
        println!(
            "{language:14}  {:8}  {:>8}  {:>9}  {:>9}  {:>10}",
            function.deploy_report()?.contract(),
            format!("{} KiB", module.len().div_ceil(1024)),
            micros(cold),
            micros(warm),
            reply.report().fuel(),
        );
    }
    println!("\nAll answer {ANSWER}");
    Ok(())
}

/// The median of several times. `None` if there are none.
fn median(
    times: usize,
    mut run: impl FnMut() -> Result<Option<Duration>, Box<dyn std::error::Error>>,
) -> Result<Option<Duration>, Box<dyn std::error::Error>> {
    let mut all = Vec::with_capacity(times);
    for _ in 0..times {
        all.extend(run()?);
    }
    all.sort_unstable();
    Ok(all.get(all.len() / 2).copied())
}

/// How long the host waits for one invocation, if it starts in this way.
fn time(function: &Function, start: StartKind) -> Result<Option<Duration>, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let reply = function.invoke(EVENT.as_bytes())?;
    let took = began.elapsed();
    Ok((reply.report().start() == start).then_some(took))
}

fn micros(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{:.1} us", time.as_secs_f64() * 1e6))
}
