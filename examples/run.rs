//! Runs a guest from the command line: a first step for users who have a `.wasm` or a `.wat`.
//!
//! ```text
//! $ cargo run --release --example run -- tests/guests/wordcount.c.command.wasm --input 'one two' --repeat 1000
//! {"lines":0,"words":2,"bytes":7}
//! DEPLOY wordcount.c.command@f25e4e8 contract=command module=13655B functions=7 init_fuel=0 duration=3.3ms memory=128KiB image=4KiB reset=by_fault_count
//! REPORT wordcount.c.command@f25e4e8 start=warm fuel=6128 duration=2.0us memory=128KiB in=7B out=31B host_calls=0 outcome=ok
//! 1000 invocations in 4.3 ms: 231490 a second
//! ```
//!
//! The reply goes to standard output, everything else to standard error.

use std::{
    env, error,
    fmt::Write as _,
    fs,
    io::{self, IsTerminal, Read, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use dormouse::{ContractKind, Function, Limits, Reply, Report, Runtime, Value, Wasi};

const USAGE: &str = "\
usage: run MODULE [options]

  MODULE             a module, .wasm or .wat: a WASI program, an Extism plug-in, or in the buffer contract, or with plain exports
  --export NAME      the export to call; for a plain one the input holds its arguments
  --input TEXT       the event, or arguments such as '20 i64:7 f64:0.5' (i32 where no type is given)
  --input-file FILE  the event from a file; - for standard input
  --arg TEXT         an argument of a WASI program, any number of times
  --fuel N           fuel of an invocation
  --repeat N         how often to invoke";

/// What the command line asks for.
#[derive(Default)]
struct Options {
    module: String,
    export: Option<String>,
    input: Vec<u8>,
    args: Vec<String>,
    fuel: Option<u64>,
    repeat: Option<u64>,
}

fn main() -> ExitCode {
    let outcome = match options(env::args().skip(1)) {
        Ok(Some(options)) => run(&options),
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{arg} needs a number, not {text:?}"));
        match &*arg {
            "-h" | "--help" => return Ok(None),
            "--export" => options.export = Some(value()?),
            "--input" => options.input = value()?.into_bytes(),
            "--input-file" => options.input = read(&value()?)?,
            "--arg" => options.args.push(value()?),
            "--fuel" => options.fuel = Some(number(value()?)?),
            "--repeat" => options.repeat = Some(number(value()?)?.max(1)),
            _ if arg.starts_with('-') => return Err(format!("{arg} is not an option")),
            _ if options.module.is_empty() => options.module = arg,
            _ => return Err(format!("one module at a time, not {arg} too")),
        }
    }
    if options.module.is_empty() { Err("which module?".into()) } else { Ok(Some(options)) }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let read = if path == "-" {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    read.map_err(|error| format!("{path}: {error}"))
}

fn run(options: &Options) -> Result<(), Box<dyn error::Error>> {
    let bytes = read(&options.module)?;
    // This translates text, and leaves a module as it is.
    let module = wat::parse_bytes(&bytes)?;
    let runtime = Runtime::new();
    let name = name(&options.module);
    let defaults = Limits::default();
    let limits = Limits { fuel: options.fuel.unwrap_or(defaults.fuel), ..defaults };
    let args = std::iter::once(&*name).chain(options.args.iter().map(String::as_str));
    let deployment = runtime.deployment(&name, &module).limits(limits).wasi(Wasi::new().args(args));
    // The export takes events, or it is a plain one.
    let found = match &options.export {
        Some(export) => {
            let as_entry = deployment.entry(export).deploy();
            as_entry.or_else(|_| runtime.deployment(&name, &module).contract(ContractKind::Plain).deploy())
        }
        None => deployment.deploy(),
    };
    let function = found?;
    eprintln!("{}", function.deploy_report()?);

    let repeat = options.repeat.unwrap_or(1);
    let began = Instant::now();
    let mut shown = began;
    let mut last = None;
    for done in 0..repeat {
        last = Some(invoke(&function, options)?);
        if io::stderr().is_terminal() && shown.elapsed() > Duration::from_millis(500) {
            shown = Instant::now();
            eprint!("\r{} of {repeat} ({} %)", done + 1, (done + 1) * 100 / repeat);
        }
    }
    let elapsed = began.elapsed();
    if shown != began {
        eprintln!();
    }
    if let Some(Answer { output, log, report }) = last {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&output)?;
        if !output.ends_with(b"\n") && stdout.is_terminal() {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()?;
        eprint!("{log}");
        if !log.is_empty() && !log.ends_with('\n') {
            eprintln!();
        }
        eprintln!("{report}");
    }
    if options.repeat.is_some() {
        let rate = repeat as f64 / elapsed.as_secs_f64();
        eprintln!("{repeat} invocations in {:.1} ms: {rate:.0} a second", elapsed.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// The outcome of one invocation.
struct Answer {
    output: Vec<u8>,
    log: String,
    report: Report,
}

fn invoke(function: &Function, options: &Options) -> Result<Answer, Box<dyn error::Error>> {
    match &options.export {
        Some(export) if function.deploy_report()?.contract() == "plain" => {
            let returned = function.call(export, &arguments(&options.input)?)?;
            let mut text = String::new();
            for value in returned.values() {
                writeln!(text, "{value}")?;
            }
            let (log, report) = (returned.log().into_owned(), returned.report().clone());
            Ok(Answer { output: text.into_bytes(), log, report })
        }
        _ => {
            let reply: Reply = function.invoke(&options.input)?;
            let (log, report) = (reply.log().into_owned(), reply.report().clone());
            Ok(Answer { output: reply.into_output(), log, report })
        }
    }
}

/// Arguments of a plain export: numbers, each with its type in front, which i32 may leave out.
fn arguments(input: &[u8]) -> Result<Vec<Value>, Box<dyn error::Error>> {
    let text = std::str::from_utf8(input)?;
    let parse = |word: &str| -> Result<Value, Box<dyn error::Error>> {
        let (ty, number) = word.split_once(':').unwrap_or(("i32", word));
        Ok(match ty {
            "i32" => Value::I32(number.parse()?),
            "i64" => Value::I64(number.parse()?),
            "f32" => Value::F32(number.parse()?),
            "f64" => Value::F64(number.parse()?),
            _ => return Err(format!("{word:?} is none of i32, i64, f32 and f64").into()),
        })
    };
    text.split_whitespace().map(parse).collect()
}

/// The function's name: the module's file name, reduced to letters, digits, dots, dashes and
/// underscores.
fn name(path: &str) -> String {
    let stem = Path::new(path).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = stem.chars().map(fits).take(64).collect();
    if name.is_empty() { "guest".into() } else { name }
}
