//! Node's engine, V8, in a process that lives as long as this one. They communicate by pipes.
//!
//! A request holds the module, the names of the exports, and the runs. Each call of a run has the
//! export's index and the arguments.
//!
//! The answer begins with a byte that says whether the module was compiled and instantiated. The
//! outcome of each call follows: a byte 1 and the values, or a byte 0 and the error's text. Strings
//! and lists have their length before them.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use super::Engine;
use crate::{
    fitted::Fitted,
    outcome::{Answer, Ended, Kind},
    runs::Run,
};

/// How long a module may take: many times as long as fuel lets it run in the library.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Node {
    process: Arc<Mutex<Child>>,
    input: std::process::ChildStdin,
    output: std::process::ChildStdout,
    /// A message goes here at each beginning and each end of a request.
    watchdog: mpsc::Sender<()>,
}

impl Node {
    /// # Errors
    /// There is no Node, or it does not start.
    pub fn start() -> Result<Self, String> {
        let program = std::env::var_os("NODE").unwrap_or_else(|| "node".into());
        let mut command = Command::new(&program);
        // The script is embedded, as the source may not be there.
        command.args(["--eval", include_str!("node.js")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| {
            format!("`{}` does not start ({error}): install Node 20 or later, or name it in NODE", program.display())
        })?;
        let (input, output) = (process.stdin.take().expect("it is piped"), process.stdout.take().expect("it is piped"));
        let process = Arc::new(Mutex::new(process));
        let (watchdog, told) = mpsc::channel();
        let watched = process.clone();
        std::thread::spawn(move || {
            // Begun; then ended, or killed.
            while told.recv().is_ok() {
                if told.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let _ = watched.lock().expect("nobody panics with it").kill();
                    return;
                }
            }
        });
        Ok(Self { process, input, output, watchdog })
    }

    fn ask(&mut self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let _ = self.watchdog.send(());
        self.input.write_all(&(request.len() as u32).to_le_bytes())?;
        self.input.write_all(request)?;
        let mut length = [0; 4];
        self.output.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        self.output.read_exact(&mut answer)?;
        let _ = self.watchdog.send(());
        Ok(answer)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut process = self.process.lock().expect("nobody panics with it");
        let _ = process.kill();
        let _ = process.wait();
    }
}

impl Engine for Node {
    fn answer(&mut self, module: &Fitted, runs: &[Run]) -> Result<Answer, String> {
        let mut request = Vec::with_capacity(module.bytes.len() + 4_096);
        bytes(&mut request, &module.bytes);
        number(&mut request, module.exports.len());
        for export in &module.exports {
            bytes(&mut request, export.plain.as_bytes());
        }
        number(&mut request, runs.len());
        for run in runs {
            number(&mut request, run.calls.len());
            for call in &run.calls {
                number(&mut request, call.export);
                number(&mut request, call.args.len());
                for arg in &call.args {
                    request.extend(arg.to_le_bytes());
                }
            }
        }
        let answer = match self.ask(&request) {
            Ok(answer) => answer,
            Err(error) => {
                *self = Self::start()?;
                return Err(format!("Node ended, or ran longer than {PATIENCE:?}: {error}"));
            }
        };
        let mut answer = Reader(&answer);
        Ok(match answer.byte() {
            0 => {
                let calls = |run: &Run| run.calls.iter().map(|_| answer.ended()).collect();
                Answer::Ran(runs.iter().map(calls).collect())
            }
            1 => Answer::Lacks(answer.text()),
            _ => Answer::Refused(ended(answer.text())),
        })
    }
}

fn number(request: &mut Vec<u8>, number: usize) {
    request.extend((number as u32).to_le_bytes());
}

fn bytes(request: &mut Vec<u8>, bytes: &[u8]) {
    number(request, bytes.len());
    request.extend(bytes);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let (taken, rest) = self.0.split_first_chunk().expect("the script answers in full");
        self.0 = rest;
        *taken
    }

    fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn text(&mut self) -> String {
        let length = u32::from_le_bytes(self.take()) as usize;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn ended(&mut self) -> Ended {
        if self.byte() == 0 {
            return ended(self.text());
        }
        let count = self.byte();
        Ended::Values((0..count).map(|_| u64::from_le_bytes(self.take())).collect())
    }
}

/// V8's words, which are no more exact than this.
fn ended(text: String) -> Ended {
    let says = |words: &str| text.contains(words);
    if says("Maximum call stack size exceeded") {
        return Ended::Stopped("the oracle's stack");
    }
    if says("Out of memory") || says("Could not allocate memory") {
        return Ended::Stopped("the oracle's memory");
    }
    let kind = if says("unreachable") && !says("float") {
        Kind::Unreachable
    } else if says("memory access out of bounds") || says("data segment") {
        Kind::MemoryOutOfBounds
    } else if says("table index is out of bounds") || says("table access out of bounds") || says("element segment") {
        Kind::TableOutOfBounds
    } else if says("null function or function signature mismatch") {
        Kind::NullOrBadSignature
    } else if says("divide by zero") || says("remainder by zero") {
        Kind::DivisionByZero
    } else if says("divide result unrepresentable") {
        Kind::IntegerOverflow
    } else if says("float unrepresentable in integer range") {
        Kind::OverflowOrBadConversion
    } else {
        return Ended::Other(text);
    };
    Ended::Trap(kind)
}
