//! A corpus of real guests with their right outcomes: a folder with modules and a list of cases.
//! `DORMOUSE_GUESTS` names the folder. Without it, `guests.rs` and `wasi.rs` still run the guests
//! of `tests/guests`.
//!
//! Each case runs cold and three times warm, with the same outcome and the same fuel.

use std::{collections::HashMap, fs, path::PathBuf};

use dormouse::{Context, Function, Guest, InvokeErrorKind, Limits, Runtime, Value, Wasi};
use serde_json::Value as Json;

/// What one run answered.
#[derive(Debug, Default)]
struct Outcome {
    output: Vec<u8>,
    results: Vec<String>,
    log: String,
    exit: u64,
    fuel: u64,
}

struct Corpus(PathBuf);

#[test]
fn every_case_of_the_corpus_has_its_outcome_four_times_with_equal_fuel() {
    let Some(folder) = std::env::var_os("DORMOUSE_GUESTS") else { return };
    let corpus = Corpus(folder.into());
    let cases: Vec<Json> = serde_json::from_slice(&corpus.file("cases.json")).expect("a list of cases");
    let mut wrong = Vec::new();
    let mut refused = 0;
    for case in &cases {
        match corpus.run(case) {
            Ok(()) => {}
            // The error names a proposal that this build leaves off.
            Err(problem) if problem.contains("the WebAssembly proposal") => {
                println!("{} {}: {problem}", case["file"], case["name"]);
                refused += 1;
            }
            Err(problem) => wrong.push(format!("{} {}: {problem}", case["file"], case["name"])),
        }
    }
    println!("{} cases, {refused} of them refused by name, {} wrong", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Corpus {
    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Bytes given as text, in hexadecimal digits, or as a file.
    fn bytes(&self, of: &Json, key: &str) -> Option<Vec<u8>> {
        let get = |suffix: &str| of[format!("{key}{suffix}")].as_str();
        let text = get("").map(|text| text.as_bytes().to_vec());
        text.or_else(|| get("_hex").map(hex)).or_else(|| get("_file").map(|name| self.file(name)))
    }

    /// Checks the outcome of the case.
    fn run(&self, case: &Json) -> Result<(), String> {
        let abi = case["abi"].as_str().expect("every case has one");
        let trap = case["trap"].as_str();
        let module = self.file(case["file"].as_str().expect("every case has one"));
        let limits = Limits {
            memory_bytes: case["max_pages"].as_u64().unwrap_or(16_384) * 65_536,
            fuel: case["fuel"].as_u64().unwrap_or(1_000_000_000_000),
            call_depth: case["depth"].as_u64().unwrap_or(1_000) as u32,
            table_elements: 1_000_000,
            // As wasmi has it.
            stack_bytes: 1_000_000,
            ..Limits::default()
        };
        let runtime = Runtime::new();
        let argv: Vec<&str> =
            case["argv"].as_array().map_or(vec!["guest"], |argv| argv.iter().filter_map(Json::as_str).collect());
        let deployment = runtime.deployment("guest", &module).limits(limits).wasi(Wasi::new().args(argv));
        let deployed = deployment
            .host("host", "add", |_: &mut Context<'_>, a: i32, b: i32| a.wrapping_add(b))
            .host("host", "log", |_: &mut Context<'_>, _: i32, _: i32| ())
            .host(
                "env",
                "mapping_callback",
                |_: &mut Context<'_>,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32| (),
            )
            .deploy();
        let function = match deployed {
            Ok(_) if case.get("refused").is_some() => return Err("it deploys".into()),
            Ok(function) => function,
            Err(error) => {
                let text = error.to_string();
                let expected = case.get("refused").is_some() || trap.is_some_and(|trap| text.contains(trap));
                return if expected { Ok(()) } else { Err(format!("it does not deploy: {text}")) };
            }
        };
        if abi == "load" {
            return if trap.is_none() { Ok(()) } else { Err("it deploys".into()) };
        }
        let mut fuel = None;
        for round in 0..4 {
            let outcome = match (self.outcome(&function, abi, case), trap) {
                (Ok(outcome), None) => outcome,
                (Ok(outcome), Some(trap)) => return Err(format!("round {round}: no {trap}, but {outcome:?}")),
                (Err(error), Some(trap)) if error.contains(trap) => continue,
                (Err(error), _) => return Err(format!("round {round}: {error}")),
            };
            self.compare(case, &outcome).map_err(|problem| format!("round {round}: {problem}"))?;
            if outcome.fuel != *fuel.get_or_insert(outcome.fuel) {
                return Err(format!("round {round}: {} fuel instead of {fuel:?}", outcome.fuel));
            }
        }
        Ok(())
    }

    fn compare(&self, case: &Json, outcome: &Outcome) -> Result<(), String> {
        let exit = case["exit"].as_u64().unwrap_or(0);
        if outcome.exit != exit {
            return Err(format!("exit code {} instead of {exit}", outcome.exit));
        }
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(300).collect::<String>();
        // A program that failed has no reply.
        if let (0, Some(out)) = (exit, self.bytes(case, "out")) {
            if outcome.output != out {
                return Err(format!("{:?} instead of {:?}", lossy(&outcome.output), lossy(&out)));
            }
        }
        for (part, whole) in [("out_has", lossy(&outcome.output)), ("err_has", outcome.log.clone())] {
            if let Some(part) = case[part].as_str() {
                if !whole.contains(part) && (exit == 0 || part.starts_with("err")) {
                    return Err(format!("{whole:?} does not contain {part:?}"));
                }
            }
        }
        if let Some(results) = case["results"].as_array() {
            let results: Vec<_> = results.iter().filter_map(Json::as_str).collect();
            if outcome.results != results {
                return Err(format!("{:?} instead of {results:?}", outcome.results));
            }
        }
        Ok(())
    }

    fn outcome(&self, function: &Function, abi: &str, case: &Json) -> Result<Outcome, String> {
        let input = self.bytes(case, "in").unwrap_or_default();
        let script = self.bytes(case, "script");
        if abi == "wasi" || (abi == "handle" && script.is_none()) {
            return match function.invoke(&input) {
                Ok(reply) => Ok(Outcome {
                    log: reply.log().into_owned(),
                    fuel: reply.report().fuel(),
                    output: reply.into_output(),
                    ..Outcome::default()
                }),
                Err(error) => match error.kind() {
                    InvokeErrorKind::Exit { code, log } => Ok(Outcome {
                        exit: u64::from(*code),
                        log: log.to_string(),
                        fuel: error.report().map_or(0, |report| report.fuel()),
                        ..Outcome::default()
                    }),
                    _ => Err(error.to_string()),
                },
            };
        }
        let session = function.session(|guest| match &script {
            Some(script) => Ok((Vec::new(), scripted(guest, script, &input)?)),
            None => self.steps(guest, case),
        });
        let session = session.map_err(|error| error.to_string())?;
        let (fuel, log) = (session.report().fuel(), session.log().into_owned());
        let (results, output) = session.into_value();
        Ok(Outcome { output, results, log, exit: 0, fuel })
    }

    fn steps(&self, guest: &mut Guest<'_>, case: &Json) -> Result<(Vec<String>, Vec<u8>), InvokeErrorKind> {
        let one = [case.clone()];
        let steps = case["steps"].as_array().map_or(&one[..], Vec::as_slice);
        let mut saved: HashMap<String, Value> = HashMap::new();
        let (mut results, mut output) = (Vec::new(), Vec::new());
        for step in steps {
            if let Some(name) = step["call"].as_str() {
                let args = step["args"].as_array().into_iter().flatten().filter_map(Json::as_str);
                let args: Vec<Value> = args.map(|arg| value(arg, &saved)).collect();
                match (guest.call(name, &args), step["traps"].as_str()) {
                    (Ok(_), Some(trap)) => panic!("{name} does not trap: {trap}"),
                    (Ok(values), None) => match &step["save"] {
                        Json::String(name) => drop(saved.insert(name.clone(), values[0])),
                        Json::Array(names) => {
                            let names = names.iter().filter_map(Json::as_str).map(str::to_owned);
                            saved.extend(names.zip(values.iter().copied()));
                        }
                        _ => results.extend(values.iter().map(Value::to_string)),
                    },
                    (Err(error), Some(trap)) if error.to_string().contains(trap) => results.push("trap".into()),
                    (Err(error), _) => return Err(error),
                }
            } else if !step["write"].is_null() {
                let file = || step["file"].as_str().map(|name| self.file(name));
                let text = step["text"].as_str().map(|text| text.as_bytes().to_vec());
                let bytes = text.or_else(|| step["hex"].as_str().map(hex)).or_else(file);
                guest.write(number(&step["write"], &saved), &bytes.expect("something to write"))?;
            } else if !step["read"].is_null() {
                let (at, len) = (number(&step["read"], &saved), number(&step["len"], &saved));
                output.extend(guest.read(at, len as usize)?);
            } else if !step["cstr"].is_null() {
                let mut at = number(&step["cstr"], &saved);
                loop {
                    match guest.read(at, 1)?[0] {
                        0 => break,
                        byte => output.push(byte),
                    }
                    at += 1;
                }
            } else {
                let at = number(&step["load32"], &saved) + step["add"].as_u64().unwrap_or(0) as u32;
                let bytes = guest.read(at, 4)?.try_into().expect("four bytes");
                let name = step["save"].as_str().expect("a name").to_owned();
                saved.insert(name, Value::I32(i32::from_le_bytes(bytes)));
            }
        }
        Ok((results, output))
    }
}

/// A script for an interpreter, and an event for the script.
fn scripted(guest: &mut Guest<'_>, script: &[u8], input: &[u8]) -> Result<Vec<u8>, InvokeErrorKind> {
    let give = |guest: &mut Guest<'_>, export: &str, bytes: &[u8]| {
        let len = Value::I32(bytes.len() as i32);
        let at = guest.call("alloc", &[len])?[0];
        guest.write(at.as_u32(), bytes)?;
        guest.call(export, &[at, len])
    };
    give(guest, "load", script)?;
    let answer = give(guest, "handle", input)?[0].as_u64();
    guest.read((answer >> 32) as u32, answer as u32 as usize)
}

fn hex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hexadecimal digit") as u8;
    digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// `i32:7`, or `$name` for a saved one.
fn value(text: &str, saved: &HashMap<String, Value>) -> Value {
    if let Some(name) = text.strip_prefix('$') {
        return saved[name];
    }
    let (ty, number) = text.split_once(':').expect("a type and a number");
    match ty {
        "i32" => Value::I32(number.parse::<i64>().expect("an integer") as i32),
        "i64" => Value::I64(number.parse::<i128>().expect("an integer") as i64),
        "f32" => Value::F32(number.parse().expect("a float")),
        _ => Value::F64(number.parse().expect("a float")),
    }
}

fn number(json: &Json, saved: &HashMap<String, Value>) -> u32 {
    match json {
        Json::Number(number) => number.as_u64().expect("an address") as u32,
        Json::String(text) if text.starts_with('$') || text.contains(':') => value(text, saved).as_u32(),
        other => other.as_str().and_then(|text| text.parse().ok()).expect("an address"),
    }
}
