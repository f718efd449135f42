//! Which functions zero the interpreter's value stack above them, and how far.
//!
//! wasmi keeps the operands and locals of all calls on one stack of cells. It zeroes a function's
//! locals when the function is entered. The cells of its operands keep what an earlier call left
//! there: of this run, of another run, or of the host's heap where the stack is new. Right code
//! never reads such a cell. Code that wasmi mistranslates does (`docs/interpreter-faults.md`). So
//! no residue is left to be read:
//!
//! - a *root* is what the host calls, an exported function or the start function. Its trampoline
//!   zeroes all cells that its calls can use until the next cleaner;
//! - a *cleaner* does the same for itself, each time that it is entered. Each cycle of calls has
//!   one. So has each path of calls that would use more than [`REACH_MAX`] cells, so that no
//!   trampoline zeroes much for a path that is seldom taken.
//!
//! Nothing has to be known of earlier runs, of the stack that a run is given, or of how an earlier
//! run ended.
//!
//! Invariant: between a cell's use in one run and in the next, some trampoline or cleaner of the
//! next zeroes it, whichever way calls take.

use std::{collections::HashMap, ops::Range};

use super::{
    leb::leb,
    survey::{Body, How, Survey},
};

/// Cells that the functions between one cleaner and the next may use.
const REACH_MAX: u32 = 512;

/// Cells above its operands that the stub of a growth uses: it takes its parameters from there, at
/// most two, and has a number more than they.
const STUB: u32 = 3;

/// Cells of a value: a vector takes two.
pub(super) const CELLS: u32 = if cfg!(feature = "simd") { 2 } else { 1 };

/// What a call reaches: a function, or any of a type, by way of a table. One number, as a module may
/// have a call for every few of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Callee(u32);

/// Types have this bit. Indices of functions and types are far below it.
const IS_TYPE: u32 = 1 << 31;

/// What the operator that these bytes begin with calls, if it is a call. Nothing is validated yet.
pub(super) fn callee(bytes: &[u8]) -> Option<Callee> {
    match bytes {
        [0x10 | 0x12, index @ ..] => Some(Callee(leb(index).0 & !IS_TYPE)),
        [0x11 | 0x13, index @ ..] => Some(Callee(leb(index).0 | IS_TYPE)),
        _ => None,
    }
}

/// Sorts what stands from `begin` on, each once; returns where it stands.
pub(super) fn dedup(callees: &mut Vec<Callee>, begin: usize) -> Range<usize> {
    callees[begin..].sort_unstable();
    let mut end = begin;
    for at in begin..callees.len() {
        if end == begin || callees[end - 1] != callees[at] {
            callees[end] = callees[at];
            end += 1;
        }
    }
    callees.truncate(end);
    begin..end
}

/// Cells that a cleaner copies zeros to, where others call a function that has them for locals:
/// that is quicker for so few.
const COPIED_MAX: u32 = 4;

/// Locals up to which a cleaner gets one more, to copy from. The interpreter takes 30,000.
const LOCALS_MAX: u32 = 10_000;

/// How a function cleans when it is entered: so many cells above its locals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cleaner {
    Copies(u32),
    Calls(u32),
}

/// The answer, for the functions that a module defines.
pub(super) struct Residue {
    /// Which functions are cleaners.
    pub(super) cleaners: Vec<Option<Cleaner>>,
    /// The roots by their index, imported functions among them, ascending, and the cells that their
    /// trampolines zero.
    pub(super) roots: Vec<(u32, u32)>,
}

/// Functions that the module defines, then types.
struct Graph<'a> {
    survey: &'a Survey<'a>,
    /// Each type's first equal.
    canonical: Vec<usize>,
    /// For each type, the functions of it that a table may hold.
    taken: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn of(survey: &'a Survey<'a>) -> Self {
        let mut first = HashMap::new();
        let canonical: Vec<usize> =
            survey.types.iter().enumerate().map(|(at, ty)| *first.entry(ty).or_insert(at)).collect();
        let mut taken = vec![Vec::new(); canonical.len()];
        for index in &survey.taken {
            if let Some(defined) = index.checked_sub(survey.imported_functions) {
                taken[canonical[survey.functions[*index as usize] as usize]].push(defined as usize);
            }
        }
        Self { survey, canonical, taken }
    }

    fn functions(&self) -> usize {
        self.survey.bodies.len()
    }

    fn body(&self, function: usize) -> &Body {
        &self.survey.bodies[function]
    }

    /// What a function calls, or a type stands for, by its number.
    fn next(&self, node: usize, number: usize) -> Option<Option<usize>> {
        if let Some(ty) = node.checked_sub(self.functions()) {
            return self.taken[ty].get(number).map(|function| Some(*function));
        }
        let callees = &self.survey.callees[self.body(node).callees.clone()];
        callees.get(number).map(|Callee(callee)| match callee & !IS_TYPE {
            ty if callee & IS_TYPE != 0 => Some(self.functions() + self.canonical[ty as usize]),
            // The host's frames are within the caller's operands.
            index => index.checked_sub(self.survey.imported_functions).map(|defined| defined as usize),
        })
    }

    fn nodes(&self, node: usize) -> impl Iterator<Item = usize> {
        (0..).map_while(move |number| self.next(node, number)).flatten()
    }
}

impl Residue {
    pub(super) fn of(survey: &Survey<'_>) -> Self {
        let graph = Graph::of(survey);
        let (order, mut is_cleaner) = cut(&graph);
        // Cells above the begin of its frame that a function, or any of a type, can use until the
        // next cleaner.
        let mut reach = vec![0; order.len()];
        let above = |reach: &[u32], is_cleaner: &[bool], node: usize| {
            let grows = node < graph.functions() && {
                let mut edits = survey.edits_of(graph.body(node)).iter();
                edits.any(|edit| matches!(edit.how, How::Grow(_)))
            };
            // Locals are zeroed by the interpreter, and nothing else of a cleaner is used before it
            // cleans.
            let nodes = graph.nodes(node).map(|next| if is_cleaner[next] { 0 } else { reach[next] });
            nodes.chain(grows.then_some(CELLS * STUB)).max().unwrap_or_default()
        };
        for node in order {
            reach[node] = above(&reach, &is_cleaner, node);
            if node < graph.functions() {
                let body = graph.body(node);
                // A frame of the interpreter has its locals and, above them, room for the most
                // operands.
                reach[node] += CELLS * (body.locals + body.operands);
                is_cleaner[node] |= reach[node] > REACH_MAX;
            }
        }
        let cleaners: Vec<_> = (0..graph.functions())
            .map(|function| {
                let body = graph.body(function);
                let cells = CELLS * body.operands + above(&reach, &is_cleaner, function);
                is_cleaner[function].then_some(if cells <= COPIED_MAX && body.locals < LOCALS_MAX {
                    Cleaner::Copies(cells)
                } else {
                    Cleaner::Calls(cells)
                })
            })
            .collect();
        let exported = survey.exports.iter().filter(|export| export.kind == wasmparser::ExternalKind::Func);
        let mut roots: Vec<u32> = exported.map(|export| export.index).chain(survey.start).collect();
        roots.sort_unstable();
        roots.dedup();
        let roots = roots.into_iter().map(|index| {
            let defined = index.checked_sub(survey.imported_functions).map(|defined| defined as usize);
            (index, defined.map_or(0, |function| if is_cleaner[function] { 0 } else { reach[function] }))
        });
        Self { cleaners, roots: roots.collect() }
    }
}

/// Visits all nodes, and finds cleaners that cut each cycle. Gives the nodes in an order in which
/// each stands behind all that it leads to, except for where a cleaner cuts.
fn cut(graph: &Graph<'_>) -> (Vec<usize>, Vec<bool>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Not,
        Begun,
        Ended,
    }
    let nodes = graph.functions() + graph.canonical.len();
    let mut visits = vec![Visit::Not; nodes];
    let mut is_cleaner = vec![false; nodes];
    let mut order = Vec::with_capacity(nodes);
    let mut path: Vec<(usize, usize)> = Vec::new();
    for root in 0..nodes {
        if visits[root] == Visit::Not {
            visits[root] = Visit::Begun;
            path.push((root, 0));
        }
        while let Some((node, number)) = path.last_mut() {
            let (node, next) = (*node, graph.next(*node, *number));
            *number += 1;
            match next {
                None => {
                    visits[node] = Visit::Ended;
                    order.push(node);
                    path.pop();
                }
                Some(Some(next)) if visits[next] == Visit::Not => {
                    visits[next] = Visit::Begun;
                    path.push((next, 0));
                }
                // This closes a cycle, on which both are. A type is not code, and what leads to it
                // is a function then.
                Some(Some(next)) if visits[next] == Visit::Begun => {
                    is_cleaner[if next < graph.functions() { next } else { node }] = true;
                }
                Some(_) => {}
            }
        }
    }
    (order, is_cleaner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]
mod tests {
    use wasmi::{Engine, Linker, Store, Val};

    use super::*;
    use crate::{
        limits::Limits,
        module::{cure::Cure, engine, rewrite::rewrite},
    };

    /// A module whose tables of branches are not cured, in an engine that has run nothing else.
    struct Uncured {
        store: Store<()>,
        instance: wasmi::Instance,
    }

    impl Uncured {
        fn new(text: &str) -> Self {
            let bytes = wat::parse_str(text).unwrap();
            let limits = Limits::default();
            let mut survey = Survey::of(&bytes, &limits).unwrap();
            let had = survey.edits.len();
            survey.edits.retain(|edit| !matches!(edit.how, How::Cure(Cure::Enclose(_))));
            assert!(survey.edits.len() < had, "the fault is there");
            let rewritten = rewrite(&survey).unwrap();
            let engine = Engine::new(&engine::config(&limits, 1, rewritten.extra));
            let module = rewritten.module.compile(&engine).unwrap();
            let mut store = Store::new(&engine, ());
            store.set_fuel(u64::MAX).unwrap();
            let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
            Self { store, instance }
        }

        /// The results of an export, as bits.
        fn call(&mut self, export: &str, args: &[Val]) -> Vec<u64> {
            let function = self.instance.get_func(&self.store, export).unwrap();
            let mut results = vec![Val::I64(0); function.ty(&self.store).results().len()];
            function.call(&mut self.store, args, &mut results).unwrap();
            let bits = |value: &Val| match value {
                Val::I32(value) => *value as u32 as u64,
                Val::I64(value) => *value as u64,
                other => panic!("{other:?}"),
            };
            results.iter().map(bits).collect()
        }
    }

    const SECRET: i64 = 0x5ec4_e700_5ec4_e700;

    /// Sets forty locals, and again so many calls up, so that as much of the stack is filled.
    fn keep() -> String {
        let sets: String = (2..42).map(|local| format!("(local.set {local} (local.get 0))")).collect();
        format!(
            r#"(func $keep (export "keep") (param i64 i32) (local {}) {sets}
                 (if (local.get 1) (then (call $keep (local.get 0) (i32.sub (local.get 1) (i32.const 1))))))"#,
            "i64 ".repeat(40)
        )
    }

    /// A function that takes `count` numbers out of slots that it has not written, as wasmi 2.0.0
    /// translates it.
    fn leak(name: &str, count: usize) -> String {
        let types = "i64 ".repeat(count);
        format!(
            "(func ${name} (param i32) (result {types}) block (result {types}) {} {} local.get 0 br_table 0 1 0 end)",
            "i64.const 1 ".repeat(count),
            "i64.const 6 ".repeat(count)
        )
    }

    fn check(what: &str, numbers: &[u64]) {
        // It did read what was not written; the cure's own tests say that this fault is one.
        assert!(numbers.contains(&0), "{what}: {numbers:x?}");
        let strange: Vec<_> = numbers.iter().filter(|number| ![0, 1, 6].contains(*number)).collect();
        assert!(strange.is_empty(), "{what}: {strange:x?}");
    }

    #[test]
    fn what_an_earlier_run_left_cannot_be_read_by_a_function_that_is_called() {
        for count in [2, 20, 150, 400] {
            let types = "i64 ".repeat(count);
            let module = format!(
                r#"(module {} {} (func (export "f") (param i32) (result {types}) (call $f (local.get 0)))
                     (func (export "straight") (param i32) (result {types}) (return_call $f (local.get 0))))"#,
                keep(),
                leak("f", count)
            );
            let mut guest = Uncured::new(&module);
            for export in ["f", "straight"] {
                guest.call("keep", &[Val::I64(SECRET), Val::I32(50)]);
                check(&format!("{export} {count}"), &guest.call(export, &[Val::I32(0)]));
            }
        }
    }

    #[test]
    fn what_an_earlier_run_left_cannot_be_read_at_the_end_of_a_recursion() {
        // Calls that come back at once, by way of another function, and by way of a table.
        let ways = [
            "(call $deep (i32.sub (local.get 0) (i32.const 1)))",
            "(call $other (i32.sub (local.get 0) (i32.const 1)))",
            "(call_indirect (type $deep) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))",
        ];
        for way in ways {
            let module = format!(
                r#"(module {} {} (type $deep (func (param i32) (result i64 i64 i64 i64))) (table funcref (elem $deep))
                     (func $other (type $deep) (call $deep (local.get 0)))
                     (func $deep (export "deep") (type $deep)
                       (if (type $deep) (local.get 0) (local.get 0) (then (drop) {way}) (else (call $f)))))"#,
                keep(),
                leak("f", 4)
            );
            let mut guest = Uncured::new(&module);
            for depth in [0, 1, 5, 100, 400] {
                guest.call("keep", &[Val::I64(SECRET), Val::I32(200)]);
                check(&format!("{way} {depth}"), &guest.call("deep", &[Val::I32(depth)]));
            }
        }
    }

    /// A cleaner that has few cells zeroes them without a call. Here it leaks of its own.
    #[test]
    fn what_an_earlier_run_left_cannot_be_read_in_the_cells_of_a_small_recursion() {
        let module = format!(
            r#"(module {} (func $f (export "f") (param i32) (result i64 i64)
                 (if (local.get 0) (then (return (call $f (i32.sub (local.get 0) (i32.const 1))))))
                 block (result i64 i64) i64.const 1 i64.const 6 i64.const 6 local.get 0 br_table 0 1 0 end))"#,
            keep()
        );
        let cells = 4 * CELLS;
        let cleaner = if cells > COPIED_MAX { Cleaner::Calls(cells) } else { Cleaner::Copies(cells) };
        assert_eq!(residue(&module).cleaners[1], Some(cleaner));
        let mut guest = Uncured::new(&module);
        for depth in [0, 1, 2, 30] {
            guest.call("keep", &[Val::I64(SECRET), Val::I32(50)]);
            check(&format!("depth {depth}"), &guest.call("f", &[Val::I32(depth)]));
        }
    }

    /// Each function of a long path has many operands, and the last one leaks.
    #[test]
    fn what_an_earlier_run_left_cannot_be_read_at_the_end_of_a_long_path() {
        let mut functions = String::new();
        for at in 1..=30 {
            let (operands, sums) = ("(i64.extend_i32_u (local.get 0))".repeat(90), "(i64.and)".repeat(89));
            functions += &format!(
                "(func $f{at} (param i32) (result i64 i64) {operands} {sums} (drop) (call $f{} (local.get 0)))",
                at - 1
            );
        }
        let module = format!(
            r#"(module {} {} {functions} (func (export "f") (param i32) (result i64 i64) (call $f30 (local.get 0))))"#,
            keep(),
            leak("f0", 2)
        );
        let mut guest = Uncured::new(&module);
        guest.call("keep", &[Val::I64(SECRET), Val::I32(200)]);
        check("a long path", &guest.call("f", &[Val::I32(0)]));
    }

    #[test]
    fn a_new_stack_holds_nothing_of_the_hosts_heap() {
        for count in [2, 100, 400, 900] {
            let types = "i64 ".repeat(count);
            let module = format!(
                r#"(module {} (func (export "f") (param i32) (result {types}) (call $f (local.get 0))))"#,
                leak("f", count)
            );
            // Of the sizes that a stack grows to, each many times.
            for size in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000] {
                drop(std::hint::black_box(vec![vec![0xa5u8; size]; 100]));
            }
            check(&format!("{count} numbers"), &Uncured::new(&module).call("f", &[Val::I32(0)]));
        }
    }

    #[test]
    fn a_reference_that_an_earlier_run_left_cannot_be_had() {
        let module = format!(
            r#"(module {} (func $f (param i32) (result funcref funcref)
                 block (result funcref funcref) ref.null func ref.null func ref.null func ref.null func local.get 0 br_table 0 1 0 end)
               (func (export "f") (param i32) (result i32 i32) (local funcref)
                 (call $f (local.get 0)) (local.set 1) ref.is_null (ref.is_null (local.get 1))))"#,
            keep()
        );
        let mut guest = Uncured::new(&module);
        guest.call("keep", &[Val::I64(SECRET), Val::I32(50)]);
        assert_eq!(guest.call("f", &[Val::I32(0)]), [1, 1]);
    }

    /// What each function of a module zeroes, and its roots.
    fn residue(text: &str) -> Residue {
        Residue::of(&Survey::of(&wat::parse_str(text).unwrap(), &Limits::default()).unwrap())
    }

    #[test]
    fn each_cycle_of_calls_has_a_cleaner_and_straight_calls_have_none() {
        let cleaners = |text: &str| residue(text).cleaners.iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(cleaners("(module (func (call 1)) (func (call 2) (call 2)) (func))"), [false, false, false]);
        assert_eq!(cleaners("(module (func (call 0)))"), [true]);
        assert_eq!(cleaners("(module (func (return_call 0)))"), [true]);
        assert_eq!(cleaners("(module (func (call 1)) (func (call 2)) (func (call 1)))"), [false, true, false]);
        // Two cycles through one function.
        assert_eq!(cleaners("(module (func (call 1) (call 2)) (func (call 0)) (func (call 0)))"), [true, false, false]);
        // By way of a table, which no function of another type gets into, nor one that nothing
        // names.
        let table = "(type (func)) (type (func (param i32))) (table 1 funcref)";
        assert_eq!(
            cleaners(&format!("(module {table} (elem (i32.const 0) 0) (func (call_indirect (i32.const 0))))")),
            [true]
        );
        assert_eq!(
            cleaners(&format!("(module {table} (elem (i32.const 0) 1) (func (call_indirect (i32.const 0))) (func))")),
            [false, false]
        );
        assert_eq!(
            cleaners(&format!(
                "(module {table} (elem (i32.const 0) 0) (func (call_indirect (type 1) (i32.const 5) (i32.const 0))))"
            )),
            [false]
        );
        assert_eq!(cleaners("(module (import \"\" \"\" (func)) (func (call 0)))"), [false]);
    }

    #[test]
    fn no_path_of_calls_goes_further_than_is_zeroed() {
        let path: String =
            (0..40).map(|at| format!("(func (local {}) (call {}))", "i64 ".repeat(50), at + 1)).collect();
        let residue = residue(&format!("(module {path} (func (export \"last\")) (export \"first\" (func 0)))"));
        let cells = |cleaner: &Cleaner| match *cleaner {
            Cleaner::Copies(cells) | Cleaner::Calls(cells) => cells,
        };
        let cleaners = residue.cleaners.iter().flatten().count();
        let each = 50 * CELLS;
        assert_eq!(cleaners as u32, 40 / (REACH_MAX / each + 1), "{:?}", residue.cleaners);
        assert!(
            residue.cleaners.iter().flatten().all(|cleaner| cells(cleaner) <= REACH_MAX + each),
            "{:?}",
            residue.cleaners
        );
        assert!(residue.roots.iter().all(|(_, cells)| (0..=REACH_MAX).contains(cells)), "{:?}", residue.roots);
    }
}
