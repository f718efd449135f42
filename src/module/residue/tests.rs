//! What an earlier invocation left on the value stack, looked for with the cure of fault 7 taken
//! out.

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

/// A function that sets forty locals, and calls itself so many times, so that as much of the stack
/// is filled.
fn keep() -> String {
    let sets: String = (2..42).map(|local| format!("(local.set {local} (local.get 0))")).collect();
    format!(
        r#"(func $keep (export "keep") (param i64 i32) (local {}) {sets}
             (if (local.get 1) (then (call $keep (local.get 0) (i32.sub (local.get 1) (i32.const 1))))))"#,
        "i64 ".repeat(40)
    )
}

/// A function that reads `count` numbers from cells that it has not written, as wasmi 2.0.0
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
    // The function did read cells that it has not written. The cure's own tests say that this is a
    // fault.
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
    // Calls that come back at once, through another function, and through a table.
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

/// A cleaner with few cells zeroes them without a call. Here the cleaner itself leaks.
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
        // Fills the heap with blocks of the sizes that a stack grows to, each many times.
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

/// How each function of a module cleans, and its roots.
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
    // Through a table. It holds no function of another type, and no function that nothing names.
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
    let path: String = (0..40).map(|at| format!("(func (local {}) (call {}))", "i64 ".repeat(50), at + 1)).collect();
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
