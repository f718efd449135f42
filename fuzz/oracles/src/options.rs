//! The command line.

use std::{path::PathBuf, time::Duration};

use crate::source::Source;

const USAGE: &str = "\
oracles ORACLE [OPTION VALUE]...

ORACLE is node, or wasmtime in a build with that feature.

  --modules N      how many modules, each of one seed (1000)
  --first-seed S   the first of the seeds (0)
  --seconds T      stop after so long
  --source NAME    shapes, or smith (shapes)
  --threads N      how many threads, each with an engine (all processors)
  --keep DIR       write each module with a difference to this folder
  --seed N         this seed alone, with each call printed
  --file PATH      this module alone, as .wasm or .wat, with each call printed
  --reduce N       1: makes the one module smaller, as long as it differs, and prints what is left";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    Node,
    #[cfg(feature = "wasmtime")]
    Wasmtime,
}

pub enum Modules {
    Seeds { source: Source, first: u64, count: u64, is_verbose: bool },
    File(PathBuf),
}

pub struct Options {
    pub oracle: Oracle,
    pub modules: Modules,
    pub seconds: Option<Duration>,
    pub threads: usize,
    pub keep: Option<PathBuf>,
    /// Whether to make a single module with a difference smaller.
    pub reduces: bool,
}

impl Options {
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let oracle = match args.next().as_deref() {
            Some("node") => Oracle::Node,
            #[cfg(feature = "wasmtime")]
            Some("wasmtime") => Oracle::Wasmtime,
            #[cfg(not(feature = "wasmtime"))]
            Some("wasmtime") => return Err("this build has no Wasmtime: add `--features wasmtime`".to_owned()),
            _ => return Err(USAGE.to_owned()),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut source, mut first, mut count, mut is_verbose, mut file) = (Source::Shapes, 0, 1_000, false, None);
        let mut options =
            Self { oracle, modules: Modules::File(PathBuf::new()), seconds: None, threads, keep: None, reduces: false };
        while let Some(option) = args.next() {
            let value = args.next().ok_or_else(|| format!("{option} needs a value\n\n{USAGE}"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{option} takes a number, not {value:?}"));
            match &*option {
                "--modules" => count = number()?,
                "--first-seed" => first = number()?,
                "--seconds" => options.seconds = Some(Duration::from_secs(number()?)),
                "--threads" => options.threads = number()?.max(1) as usize,
                "--reduce" => options.reduces = number()? > 0,
                "--keep" => options.keep = Some(value.into()),
                "--file" => file = Some(value.into()),
                "--seed" => (first, is_verbose) = (number()?, true),
                "--source" => {
                    source = [Source::Shapes, Source::Smith]
                        .into_iter()
                        .find(|source| source.name() == value)
                        .ok_or_else(|| format!("there is no source {value:?}\n\n{USAGE}"))?;
                }
                _ => return Err(format!("there is no option {option}\n\n{USAGE}")),
            }
        }
        options.modules = match file {
            Some(file) => Modules::File(file),
            None => Modules::Seeds { source, first, count, is_verbose },
        };
        Ok(options)
    }

    /// How many calls in a hundred may be skipped, as they run out of fuel or stack.
    pub fn skipped_at_most(&self, source: Source) -> f64 {
        match source {
            Source::Shapes => 5.,
            Source::Smith => 60.,
        }
    }

    /// How many modules in a hundred the oracle may refuse to compile. Node 20 has only one memory.
    pub fn lacking_at_most(&self) -> f64 {
        match self.oracle {
            Oracle::Node => 60.,
            #[cfg(feature = "wasmtime")]
            Oracle::Wasmtime => 1.,
        }
    }
}
