//! The model of a plug-in's host side: blocks, input, output, error, variables, logs and the
//! key-value store, call by call.
//!
//! It takes the handles of blocks from the answers, as they are opaque. If memory is scarce, it
//! knows what must fit and what cannot, and allows both in between.

use std::{collections::BTreeMap, ops::Range};

use dormouse::LogLevel;

use super::extism_calls::{CALLS, CONFIG, Call, KEPT, KEY, PAGE, VALUE, VARS};

/// The most bytes of all variables, and the bytes of each beside its key and its value.
const VARS_MAX: u64 = 1 << 20;
const ENTRY: u64 = 48;

/// What `memory.grow` answers if it fails.
const FAILED: u64 = u32::MAX as u64;

/// The store's codes.
const NOT_FOUND: u64 = -1_i64 as u64;
const BAD_KEY: u64 = -2_i64 as u64;
const BAD_VALUE: u64 = -3_i64 as u64;

/// Names of the errors that a run may end with.
type Ends = Vec<&'static str>;

/// The right outcome of a call.
enum Says {
    /// This answer.
    Is(u64),
    /// One of these.
    Within(u64, u64),
    /// A new block of so many zeros, or 0.
    Alloc(u64),
    /// A new block of these bytes, or 0 if there are none.
    Block(Vec<u8>),
    /// So many pages more, with the answer of how many there were before, or -1.
    Grow(u64),
    /// The run ends, with an error of this name.
    Ends(&'static str),
}
use Says::{Alloc, Block, Grow, Is, Within};

const FAILS: Says = Says::Ends("host_function");

/// An invalid name or key ends the call with one or the other.
type Read<T> = Result<T, Says>;

#[derive(Clone)]
pub(super) struct Model {
    memory: u64,
    level: LogLevel,
    /// The state that each run begins with.
    vars: BTreeMap<String, Vec<u8>>,
    initialising: bool,
    pages: u64,
    /// The answers of calls, those of initialisation included, by their place in the program.
    slots: Vec<u64>,
    run: Run,
}

#[derive(Clone, Default)]
struct Run {
    blocks: BTreeMap<u64, Vec<u8>>,
    /// The most bytes that blocks take.
    taken: u64,
    /// Variables that were set and removed.
    changes: BTreeMap<String, Option<Vec<u8>>>,
    input: (u64, u64),
    /// The block of the input is gone, though not by the input's own handle, so its bytes may be
    /// anything.
    is_lost: bool,
    output: (u64, u64),
    /// The output's bytes, when its block has been freed.
    frozen: Option<Vec<u8>>,
    error: u64,
    code: i32,
    is_done: bool,
    log: String,
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn entry(key: &str, len: usize) -> u64 {
    key.len() as u64 + len as u64 + ENTRY
}

/// The most bytes that a block of this size takes.
fn most(len: u64) -> u64 {
    len.saturating_add(len / 4).saturating_add(48)
}

fn owner(at: u64) -> u64 {
    at & !0xffff_ffff
}

impl Model {
    pub(super) fn new(memory: u64, level: LogLevel, init: &[u8]) -> Self {
        let mut vars: BTreeMap<String, Vec<u8>> = VARS.map(|(key, value)| (key.into(), value.into())).into();
        vars.insert("init".into(), init.into());
        Self { memory, level, vars, initialising: true, pages: 1, slots: vec![0; 255], run: Run::default() }
    }

    /// Initialisation, in which the program is a variable. Runs begin with the state that it
    /// leaves.
    pub(super) fn initialise(&mut self, init: &[u8], calls: &[Call], answers: &[u64]) -> Option<Ends> {
        // The key of that variable.
        self.run.taken = most(4);
        let ends = self.follow(init, calls, answers);
        for (key, value) in std::mem::take(&mut self.run.changes) {
            match value {
                Some(value) => drop(self.vars.insert(key, value)),
                None => drop(self.vars.remove(&key)),
            }
        }
        self.run = Run::default();
        self.initialising = false;
        ends
    }

    /// Follows a run by its answers. If the run should have ended before its program, returns the
    /// errors that it may have ended with. An empty list stands for a lack of fuel.
    pub(super) fn follow(&mut self, program: &[u8], calls: &[Call], answers: &[u64]) -> Option<Ends> {
        self.run.kept = KEPT.map(|(key, value)| (key.into(), value.into())).into();
        let Some((&handle, answers)) = answers.split_first() else {
            return Some(if self.may_lack(program.len() as u64) { vec!["memory_limit"] } else { vec![] });
        };
        if let Some(ends) = self.settle(Block(program.into()), Some(handle), "the program") {
            return Some(ends);
        }
        self.run.input = (handle, program.len() as u64);
        if self.initialising {
            self.run.input = (0, 0);
        }
        let mut given = answers.iter().copied();
        for (place, call) in calls.iter().enumerate() {
            if self.run.is_done {
                break;
            }
            let (name, args) = (CALLS[usize::from(call.number)].0, call.args(&self.slots));
            let answer = given.next();
            let says = self.call(name, args, answer.is_some()).unwrap_or_else(|says| says);
            if let Some(ends) = self.settle(says, answer, &format!("call {place}, {name}{args:x?}")) {
                return Some(ends);
            }
            self.slots[place] = answer.unwrap_or_default();
        }
        assert_eq!(given.next(), None, "it should have ended");
        None
    }

    /// Compares an answer with the right outcome. `None` stands for a run that has ended. Then
    /// returns how it may have ended.
    fn settle(&mut self, says: Says, answer: Option<u64>, what: &str) -> Option<Ends> {
        let is_within = |from: u64, to: u64| {
            answer.inspect(|answer| {
                assert!((from..=to).contains(answer), "{what}: {answer:#x} is not {from:#x} to {to:#x}")
            })
        };
        match says {
            Is(right) => is_within(right, right).map_or(Some(vec![]), |_| None),
            Within(from, to) => is_within(from, to).map_or(Some(vec![]), |_| None),
            Says::Ends(name) => {
                assert_eq!(answer, None, "{what}: it should end with {name}");
                Some(vec![name])
            }
            Alloc(len) => {
                match answer {
                    None => return Some(vec![]),
                    Some(0) => assert!(len == 0 || self.may_lack(len), "{what}: there is room"),
                    Some(handle) => self.take(handle, vec![0; len as usize], what),
                }
                None
            }
            Grow(pages) => {
                let needed = (self.pages + pages) * PAGE + self.held();
                match answer {
                    None => return Some(vec![]),
                    Some(FAILED) => assert!(needed + self.run.taken > self.memory, "{what}: there is room"),
                    Some(before) => {
                        assert_eq!(before, self.pages, "{what}");
                        assert!(needed + self.live() <= self.memory, "{what}: there is no room for it");
                        self.pages += pages;
                    }
                }
                None
            }
            Block(bytes) if bytes.is_empty() => self.settle(Is(0), answer, what),
            Block(bytes) => {
                let Some(handle) = answer else {
                    // If the host makes it, the host's function fails.
                    let ends = vec!["memory_limit", "host_function"];
                    return Some(if self.may_lack(bytes.len() as u64) { ends } else { vec![] });
                };
                self.take(handle, bytes, what);
                None
            }
        }
    }

    /// The right outcome of a call, and all its effects except making a block and growing. If the
    /// room for a variable is uncertain, whether the call has returned decides.
    fn call(&mut self, name: &str, [a, b, c]: [u64; 3], has_returned: bool) -> Read<Says> {
        Ok(match name {
            "alloc" => Alloc(a),
            "free" => self.free(a),
            "length" | "length_unsafe" => Is(self.run.blocks.get(&a).map_or(0, |block| block.len() as u64)),
            "load_u8" => Is(self.load(a, 1)),
            "load_u64" => Is(self.load(a, 8)),
            "store_u8" => self.store(a, &[b as u8]),
            "store_u64" => self.store(a, &b.to_le_bytes()),
            "input_offset" => Is(self.run.input.0),
            "input_length" => Is(self.run.input.1),
            "input_load_u8" => self.load_input(a, 1),
            "input_load_u64" => self.load_input(a, 8),
            "input_set" => {
                if (a, b) == (0, 0) || self.range(a, b).is_some() {
                    (self.run.input, self.run.is_lost) = ((a, b), false);
                }
                Is(0)
            }
            "output_set" => {
                if self.range(a, b).is_some() {
                    (self.run.output, self.run.frozen) = ((a, b), None);
                }
                Is(0)
            }
            "output_offset" => Is(self.run.output.0),
            "output_length" => Is(self.run.output.1),
            "error_set" => {
                if a == 0 || self.range(a, 1).is_some() {
                    self.run.error = a;
                }
                Is(0)
            }
            "error_get" => Is(self.run.error),
            "memory_bytes" => Within(self.live(), self.run.taken.min(self.room())),
            "config_get" => {
                let key = self.text(a)?;
                let value = CONFIG.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value);
                self.free(a);
                Block(value.into())
            }
            "var_get" => {
                let key = self.text(a)?;
                self.free(a);
                Block(self.var(&key).cloned().unwrap_or_default())
            }
            "var_set" => self.set_var(a, b, has_returned)?,
            "http_request" => FAILS,
            "http_status_code" | "http_headers" => Is(0),
            "get_log_level" => Is(if self.level == LogLevel::Off { i32::MAX as u64 } else { self.level as u64 }),
            "kv_get" => {
                let key = self.key(a).and_then(|key| self.stored(key))?;
                self.run.kept.get(&key).map_or(Is(NOT_FOUND), |value| Block(value.clone()))
            }
            "kv_set" => {
                let (key, value) = (self.key(a)?, self.value(b)?);
                let key = self.stored(key)?;
                self.run.kept.insert(key, value);
                Is(0)
            }
            "kv_delete" => {
                let key = self.key(a).and_then(|key| self.stored(key))?;
                Is(self.run.kept.remove(&key).is_some().into())
            }
            "kv_compare_and_set" => {
                let (key, expected, value) = (self.key(a)?, self.value_or_none(b)?, self.value_or_none(c)?);
                let key = self.stored(key)?;
                let is_it = self.run.kept.get(&key) == expected.as_ref();
                match value {
                    _ if !is_it => {}
                    Some(value) => drop(self.run.kept.insert(key, value)),
                    None => drop(self.run.kept.remove(&key)),
                }
                Is(is_it.into())
            }
            "kv_list" => {
                let (prefix, after) = (self.key(a)?, self.key(b)?);
                self.stored(b"any".into())?;
                let keys =
                    self.run.kept.keys().filter(|key| key.starts_with(&prefix) && (after.is_empty() || **key > after));
                Block(keys.flat_map(|key| [&(key.len() as u32).to_le_bytes()[..], key].concat()).collect())
            }
            "mirror" => {
                let mut bytes = self.block(a).map_err(|_| FAILS)?;
                bytes.reverse();
                if let Some(block) = self.run.blocks.get_mut(&a) {
                    block.clone_from(&bytes);
                }
                Block(bytes)
            }
            "reset" => {
                let run = &mut self.run;
                run.blocks.clear();
                (run.taken, run.input, run.is_lost, run.output, run.frozen, run.error) =
                    (0, (0, 0), false, (0, 0), None, 0);
                Is(0)
            }
            "grow" => Grow(a & 3),
            "trap" => Says::Ends("trap"),
            "end" => {
                (self.run.code, self.run.is_done) = (a as i32, true);
                Is(0)
            }
            log => self.write_log(log.trim_start_matches("log_"), a)?,
        })
    }

    fn free(&mut self, handle: u64) -> Says {
        let run = &mut self.run;
        let Some(block) = run.blocks.remove(&handle) else { return Is(0) };
        let (at, len) = run.output;
        if len > 0 && owner(at) == handle {
            let from = (at - handle) as usize;
            run.frozen = Some(block[from..from + len as usize].into());
        }
        if run.input.0 == handle {
            run.input.1 = 0;
        }
        run.is_lost |= run.input.1 > 0 && owner(run.input.0) == handle;
        Is(0)
    }

    /// The place of bytes in their live block.
    fn range(&self, at: u64, len: u64) -> Option<Range<usize>> {
        let (from, block) = (at - owner(at), self.run.blocks.get(&owner(at))?.len() as u64);
        let to = from.checked_add(len)?;
        (from < block && to <= block).then_some(from as usize..to as usize)
    }

    fn bytes(&self, at: u64, len: u64) -> Option<&[u8]> {
        let range = self.range(at, len)?;
        self.run.blocks[&owner(at)].get(range)
    }

    fn load(&self, at: u64, len: u64) -> u64 {
        self.bytes(at, len).map_or(0, |bytes| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    fn store(&mut self, at: u64, bytes: &[u8]) -> Says {
        if let Some(range) = self.range(at, bytes.len() as u64) {
            self.run.blocks.get_mut(&owner(at)).expect("it has a range")[range].copy_from_slice(bytes);
        }
        Is(0)
    }

    fn load_input(&self, offset: u64, len: u64) -> Says {
        let (at, all) = self.run.input;
        match offset.checked_add(len) {
            Some(end) if end <= all && self.run.is_lost => Within(0, u64::MAX >> (64 - 8 * len)),
            Some(end) if end <= all => Is(self.load(at + offset, len)),
            _ => Is(0),
        }
    }

    /// The bytes of an argument, or none for 0.
    fn block(&self, handle: u64) -> Read<Vec<u8>> {
        match self.run.blocks.get(&handle) {
            _ if handle == 0 => Ok(Vec::new()),
            Some(block) => Ok(block.clone()),
            None => Err(Says::Ends("invalid_handle")),
        }
    }

    fn text(&self, handle: u64) -> Read<String> {
        String::from_utf8(self.block(handle).map_err(|_| FAILS)?).map_err(|_| FAILS)
    }

    fn var(&self, key: &str) -> Option<&Vec<u8>> {
        self.run.changes.get(key).map_or_else(|| self.vars.get(key), Option::as_ref)
    }

    fn set_var(&mut self, at: u64, value_at: u64, has_returned: bool) -> Read<Says> {
        let value = self.block(value_at).map_err(|_| FAILS)?;
        let key = self.text(at)?;
        let more = entry(&key, value.len());
        let keys = self.vars.keys().chain(self.run.changes.keys().filter(|key| !self.vars.contains_key(*key)));
        let all: u64 = keys.filter_map(|key| Some(entry(key, self.var(key)?.len()))).sum();
        if value_at != 0 && (all + more > VARS_MAX || self.live() + more > self.room()) {
            return Ok(FAILS);
        }
        if value_at != 0 && self.run.taken + more > self.room() && !has_returned {
            return Ok(FAILS);
        }
        if value_at != 0 || self.vars.contains_key(&key) {
            self.run.changes.insert(key, (value_at != 0).then_some(value));
        } else {
            self.run.changes.remove(&key);
        }
        self.free(at);
        self.free(value_at);
        Ok(Is(0))
    }

    fn write_log(&mut self, level: &str, at: u64) -> Read<Says> {
        let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
        let number = levels.iter().position(|known| known.to_string() == level).expect("a level");
        if levels[number] >= self.level {
            let line = match String::from_utf8(self.block(at).map_err(|_| FAILS)?) {
                Ok(text) => format!("{level}: {text}\n"),
                Err(error) => format!("error: the message of a log is no UTF-8: {}\n", error.utf8_error()),
            };
            self.run.log.push_str(&line);
        }
        Ok(self.free(at))
    }

    /// A key of the store, or a prefix. The store does not read one that is too long.
    fn key(&self, handle: u64) -> Read<Vec<u8>> {
        let key = self.block(handle)?;
        if key.len() > KEY { Err(Is(BAD_KEY)) } else { Ok(key) }
    }

    fn value(&self, handle: u64) -> Read<Vec<u8>> {
        let value = self.block(handle)?;
        if value.len() > VALUE { Err(Is(BAD_VALUE)) } else { Ok(value) }
    }

    fn value_or_none(&self, handle: u64) -> Read<Option<Vec<u8>>> {
        if handle == 0 { Ok(None) } else { self.value(handle).map(Some) }
    }

    /// The key, if the store takes it.
    fn stored(&self, key: Vec<u8>) -> Read<Vec<u8>> {
        match key.is_empty() {
            true => Err(Is(BAD_KEY)),
            false if self.initialising => Err(Says::Ends("contract")),
            false => Ok(key),
        }
    }

    /// The bytes of live blocks, of changed ones, and those that blocks may have.
    fn live(&self) -> u64 {
        self.run.blocks.values().map(|block| block.len() as u64).sum()
    }

    fn held(&self) -> u64 {
        self.run.changes.iter().map(|(key, value)| entry(key, value.as_ref().map_or(0, Vec::len))).sum()
    }

    fn room(&self) -> u64 {
        (self.memory - self.pages * PAGE).saturating_sub(self.held())
    }

    fn may_lack(&self, len: u64) -> bool {
        self.run.taken.saturating_add(most(len)) > self.room()
    }

    fn take(&mut self, handle: u64, bytes: Vec<u8>, what: &str) {
        assert!(handle == owner(handle) && handle as i64 > 0, "{what}: {handle:#x} is not a handle");
        assert!(self.live() + bytes.len() as u64 <= self.room(), "{what}: there is no room for it");
        self.run.taken += most(bytes.len() as u64);
        let before = self.run.blocks.insert(handle, bytes);
        assert!(before.is_none(), "{what}: {handle:#x} is in use");
    }

    /// The text of the error that is set.
    pub(super) fn error(&self) -> Option<String> {
        let block = self.run.blocks.get(&self.run.error)?;
        let mut text = String::from_utf8_lossy(&block[..block.len().min(4 << 10)]).into_owned();
        text.truncate((0..=text.len().min(4 << 10)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0));
        Some(text)
    }

    pub(super) fn output(&self) -> &[u8] {
        let (at, len) = self.run.output;
        match &self.run.frozen {
            Some(bytes) => bytes,
            None => self.bytes(at, len).unwrap_or_default(),
        }
    }

    pub(super) fn code(&self) -> i32 {
        self.run.code
    }

    pub(super) fn log(&self) -> &str {
        &self.run.log
    }

    pub(super) fn kept(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.run.kept
    }
}
