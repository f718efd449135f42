//! The blocks of Extism plug-ins: compared with a model, at their limits, their cost, and under
//! attack.

use std::collections::HashMap;

use dormouse::{Extism, Function, Guest, InvokeErrorKind, Limits, Runtime, RuntimeLimits, Value};

use crate::support::in_use;
use crate::{
    extism::{FUNCTIONS, plugin},
    support::{Random, count},
};

/// A plug-in that exports every function of the interface as it imports it, and a few attacks.
fn everything(limits: Limits) -> Function {
    let exports: String = FUNCTIONS.iter().map(|(name, ..)| format!(r#"(export "{name}" (func ${name}))"#)).collect();
    let module = plugin(&format!(
        r#"{exports}
           (func (export "alloc_for_ever") (param $len i64) (result i64) (local $n i64)
             (loop (if (i64.ne (call $alloc (local.get $len)) (i64.const 0))
               (then (local.set $n (i64.add (local.get $n) (i64.const 1))) (br 1))))
             (local.get $n))
           (func (export "alloc_and_free_for_ever") (param $len i64) (loop (call $free (call $alloc (local.get $len))) (br 0)))
           (func (export "alloc_nothing_for_ever") (loop (drop (call $alloc (i64.const -1))) (br 0)))
           (func (export "log_for_ever") (param $len i64) (loop (call $log_error (call $alloc (local.get $len))) (br 0)))
           (func (export "set_for_ever") (param $len i64)
             (loop (call $var_set (call $alloc (local.get $len)) (call $alloc (local.get $len))) (br 0)))
           (func (export "get_for_ever") (loop (drop (call $config_get (call $alloc (i64.const 100)))) (br 0)))
           (func (export "load_for_ever") (param $at i64)
             (loop (drop (call $load_u64 (local.get $at))) (call $store_u64 (local.get $at) (i64.const -1)) (br 0)))
           (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))"#
    ));
    Runtime::new().deployment("plugin", &module).limits(limits).extism(Extism::new().config("k", "v")).deploy().unwrap()
}

fn call(guest: &mut Guest<'_>, name: &str, args: &[u64]) -> Result<u64, InvokeErrorKind> {
    let types = FUNCTIONS.iter().find(|(known, ..)| *known == name).map_or("i64 i64", |(_, params, _)| params);
    let value = |(ty, arg): (&str, &u64)| if ty == "i32" { Value::I32(*arg as i32) } else { Value::I64(*arg as i64) };
    let args: Vec<Value> = types.split_whitespace().zip(args).map(value).collect();
    Ok(guest.call(name, &args)?.first().map_or(0, |value| value.as_u64()))
}

/// Calls functions one after the other on one instance, and returns their answers.
fn answers(function: &Function, calls: &[(&str, &[u64])]) -> Vec<u64> {
    let run = function.session(|guest| calls.iter().map(|(name, args)| call(guest, name, args)).collect());
    run.unwrap().into_value()
}

/// Runs on an instance and returns the fuel that it used.
fn fuel(function: &Function, run: impl FnOnce(&mut Guest<'_>)) -> u64 {
    let ran = function.session(|guest| {
        run(guest);
        Ok(())
    });
    ran.unwrap().report().fuel()
}

#[test]
fn an_allocation_that_cannot_be_answers_0() {
    let function = everything(Limits::default());
    for len in [0, u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 32, (1 << 32) - 1, 64 << 20] {
        assert_eq!(answers(&function, &[("alloc", &[len])]), [0], "{len}");
    }
    // Beside a memory of one page, the plug-in can allocate nearly all of the rest, free it, and
    // allocate again.
    let most = 48 << 20;
    let taken = answers(&function, &[("alloc", &[most]), ("alloc", &[most]), ("alloc", &[1])]);
    assert!(taken[0] != 0 && taken[1] == 0 && taken[2] != 0, "{taken:?}");
    function
        .session(|guest| {
            let first = call(guest, "alloc", &[most])?;
            call(guest, "free", &[first])?;
            let second = call(guest, "alloc", &[most])?;
            assert_ne!(second, 0);
            assert_eq!(call(guest, "alloc", &[most])?, 0);
            // A smaller block may lie where a larger one was.
            call(guest, "free", &[second])?;
            assert_ne!(call(guest, "alloc", &[most / 2])?, 0);
            Ok(())
        })
        .unwrap();
}

#[test]
fn blocks_hold_what_a_model_of_them_holds() {
    let function = everything(Limits { memory_bytes: 4 << 20, ..Limits::default() });
    let first_seed = count("DORMOUSE_FIRST_SEED", 1);
    for seed in first_seed..first_seed + count("DORMOUSE_BLOCK_RUNS", 40) {
        function.session(|guest| model(guest, &mut Random::new(seed), seed)).unwrap();
    }
}

fn model(guest: &mut Guest<'_>, random: &mut Random, seed: u64) -> Result<(), InvokeErrorKind> {
    let mut live: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut known: Vec<u64> = vec![0];
    for step in 0..300 {
        let place = format!("seed {seed}, step {step}");
        // A present or former handle, with an offset that mostly lies within its block.
        let handle = known[random.below(known.len() as u64) as usize];
        let block = live.get(&handle).map_or(0, |block| block.len() as u64);
        let offset = match random.below(8) {
            0 => random.next(),
            1 => block.saturating_sub(4),
            2 => block,
            _ => random.below(block + 1),
        };
        let at = handle.wrapping_add(offset);
        // The block of the address, by the model.
        let (owner, from) = (at & !0xffff_ffff, (at & 0xffff_ffff) as usize);
        let bytes = |len: usize| live.get(&owner).and_then(|block| block.get(from..from.checked_add(len)?));
        match random.below(10) {
            0..3 => {
                let len = [1, 8, 16, 17, 64, 65, 100, 4_096, 70_000, random.below(300)][random.below(10) as usize];
                let made = call(guest, "alloc", &[len])?;
                assert_eq!(made == 0, len == 0, "{place}: {len}");
                if made != 0 {
                    assert_eq!(made & 0xffff_ffff, 0, "{place}");
                    assert!(live.insert(made, vec![0; len as usize]).is_none(), "{place}: {made:#x} is in use");
                    known.push(made);
                }
            }
            3 => {
                call(guest, "free", &[at])?;
                live.remove(&at);
            }
            4 => {
                let expected = live.get(&at).map_or(0, |block| block.len() as u64);
                assert_eq!(call(guest, "length", &[at])?, expected, "{place}");
                assert_eq!(call(guest, "length_unsafe", &[at])?, expected, "{place}");
            }
            5 => {
                let expected = bytes(1).map_or(0, |bytes| u64::from(bytes[0]));
                assert_eq!(call(guest, "load_u8", &[at])?, expected, "{place}: {at:#x}");
            }
            6 => {
                let expected = bytes(8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
                assert_eq!(call(guest, "load_u64", &[at])?, expected, "{place}: {at:#x}");
            }
            kind => {
                let value = random.next();
                let (name, len) = if kind == 7 { ("store_u8", 1) } else { ("store_u64", 8) };
                call(guest, name, &[at, value])?;
                if let Some(block) = live.get_mut(&owner) {
                    if let Some(bytes) = from.checked_add(len).and_then(|to| block.get_mut(from..to)) {
                        bytes.copy_from_slice(&value.to_le_bytes()[..len]);
                    }
                }
            }
        }
        if random.below(200) == 0 {
            call(guest, "reset", &[])?;
            live.clear();
        }
    }
    for (handle, block) in live {
        let loaded: Result<Vec<u8>, _> = (0..block.len().min(200) as u64)
            .map(|at| call(guest, "load_u8", &[handle + at]).map(|byte| byte as u8))
            .collect();
        assert_eq!(loaded?, block[..block.len().min(200)], "seed {seed}: {handle:#x}");
    }
    Ok(())
}

#[test]
fn handles_that_were_never_given_lead_nowhere() {
    let function = everything(Limits::default());
    let wild =
        [0, 1, 77, u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, 2 << 32, 5 << 32, 1 << 63, u64::MAX, u64::MAX - 7];
    let (fresh, used) = (Vec::new(), vec![("alloc", &[64][..])]);
    for before in [fresh, used] {
        for at in wild {
            let calls: [(&str, &[u64]); 13] = [
                ("store_u8", &[at, 7]),
                ("store_u64", &[at, 7]),
                ("load_u8", &[at]),
                ("load_u64", &[at]),
                ("length", &[at]),
                ("length_unsafe", &[at]),
                ("free", &[at]),
                ("free", &[at]),
                ("input_set", &[at, u64::MAX]),
                ("output_set", &[at, u64::MAX]),
                ("output_length", &[]),
                ("input_length", &[]),
                ("input_load_u8", &[at]),
            ];
            let is_block = !before.is_empty() && at >> 32 == 1;
            let answered = answers(&function, &[&before[..], &calls].concat());
            if !is_block {
                assert!(answered[before.len()..].iter().all(|answer| *answer == 0), "{at:#x}: {answered:?}");
            }
            for (name, argument) in [
                ("config_get", 0),
                ("var_get", 0),
                ("var_set", 0),
                ("var_set", 1),
                ("http_request", 0),
                ("log_info", 0),
            ] {
                if at == 0 || is_block {
                    continue;
                }
                let args = if argument == 0 { [at, 0] } else { [0, at] };
                let error = function.session(|guest| call(guest, name, &args)).unwrap_err();
                assert!(matches!(error.kind(), InvokeErrorKind::HostFunction { .. }), "{name} {at:#x}: {error}");
                assert!(error.to_string().contains("invalid handle"), "{name}: {error}");
            }
        }
    }
}

#[test]
fn a_stale_handle_leads_nowhere_though_its_block_is_in_use_again() {
    let function = everything(Limits::default());
    function
        .session(|guest| {
            let mut stale = Vec::new();
            for _ in 0..100 {
                let block = call(guest, "alloc", &[16])?;
                assert!(block as i64 > 0 && !stale.contains(&block));
                call(guest, "store_u8", &[block, 7])?;
                for old in &stale {
                    call(guest, "free", &[*old])?;
                    call(guest, "store_u8", &[*old, 8])?;
                    assert_eq!(call(guest, "length", &[*old])?, 0);
                }
                assert_eq!([call(guest, "load_u8", &[block])?, call(guest, "length", &[block])?], [7, 16]);
                call(guest, "free", &[block])?;
                stale.push(block);
            }
            // All of it in one place.
            assert!(call(guest, "memory_bytes", &[])? < 100);
            Ok(())
        })
        .unwrap();
}

#[test]
fn blocks_and_linear_memory_share_one_limit() {
    let function = everything(Limits { memory_bytes: 10 << 16, ..Limits::default() });
    function
        .session(|guest| {
            // One page of ten is the guest's memory.
            let block = call(guest, "alloc", &[4 << 16])?;
            assert_ne!(block, 0);
            assert_eq!(guest.call("grow", &[Value::I32(6)])?[0].as_i32(), -1);
            assert_eq!(guest.call("grow", &[Value::I32(4)])?[0].as_i32(), 1);
            assert_eq!(call(guest, "alloc", &[1 << 16])?, 0);
            assert_ne!(call(guest, "alloc", &[1 << 15])?, 0);
            assert_eq!(guest.call("grow", &[Value::I32(1)])?[0].as_i32(), -1);
            // A reset frees it.
            call(guest, "reset", &[])?;
            assert_eq!(guest.call("grow", &[Value::I32(5)])?[0].as_i32(), 5);
            assert_eq!(call(guest, "alloc", &[1])?, 0);
            Ok(())
        })
        .unwrap();
    // This holds however small they are.
    for len in [1, 16, 100, 5_000] {
        let made = function.session(|guest| call(guest, "alloc_for_ever", &[len])).unwrap().into_value();
        let most = (9 << 16) / len.max(16);
        assert!(made <= most && made >= most / 3, "{made} blocks of {len} bytes");
    }
    let event = function.invocation(&vec![1; 10 << 16]).entry("reset").run().unwrap_err();
    assert_eq!(*event.kind(), InvokeErrorKind::MemoryLimit { wanted: 10 << 16, limit: 10 << 16 });
}

#[test]
fn what_runs_for_ever_ends_by_its_fuel_and_leaves_the_host_as_it_was() {
    let limits = Limits { memory_bytes: 8 << 20, fuel: 300_000, log_bytes: 1_000, ..Limits::default() };
    let module_runs: [(&str, &[u64], &str); 12] = [
        ("alloc_and_free_for_ever", &[1], "out_of_fuel"),
        ("alloc_and_free_for_ever", &[1 << 20], "out_of_fuel"),
        ("alloc_nothing_for_ever", &[], "out_of_fuel"),
        ("log_for_ever", &[100], "out_of_fuel"),
        ("log_for_ever", &[1 << 20], "out_of_fuel"),
        ("set_for_ever", &[1_000], "out_of_fuel"),
        ("set_for_ever", &[100_000], "out_of_fuel"),
        ("set_for_ever", &[1 << 20], "host_function"),
        ("get_for_ever", &[], "out_of_fuel"),
        ("load_for_ever", &[0], "out_of_fuel"),
        ("load_for_ever", &[1 << 32], "out_of_fuel"),
        ("alloc_for_ever", &[1 << 10], "ok"),
    ];
    let function = everything(limits);
    let log = |name: &str, args: &[u64]| function.session(|guest| call(guest, name, args)).map(|ran| ran.log().len());
    for (name, args, outcome) in module_runs {
        for _ in 0..2 {
            match log(name, args) {
                Ok(_) => assert_eq!(outcome, "ok", "{name} {args:?}"),
                Err(error) => {
                    assert_eq!(error.report().unwrap().outcome(), outcome, "{name} {args:?}: {error}");
                    assert_eq!(error.report().unwrap().log_cut(), name == "log_for_ever", "{name} {args:?}");
                }
            }
        }
    }
}

#[test]
fn the_runtimes_memory_counts_blocks_and_gets_them_back() {
    let body = r#"(func (export "hold") (result i32) (i64.eqz (call $alloc (i64.const 1000000))))
        (func (export "keep") (call $var_set (call $alloc (i64.const 10)) (call $alloc (i64.const 500000))))"#;
    let module = plugin(body);
    let runtime = Runtime::new();
    let function = runtime.deploy("plugin", &module).unwrap();
    let invoke = |entry: &str| function.invocation(b"event").entry(entry).run();
    invoke("hold").unwrap();
    invoke("keep").unwrap();
    let (_, idle) = in_use(&runtime);
    // An idle instance keeps little for its blocks.
    assert!(idle < (64 << 10) + (64 << 10) + 20_000, "{idle}");
    for _ in 0..3 {
        invoke("hold").unwrap();
        invoke("keep").unwrap();
        assert_eq!(in_use(&runtime), (1, idle));
    }
    // They count while it runs.
    let limits = RuntimeLimits { resident_memory: idle + 500_000, ..RuntimeLimits::default() };
    let small = Runtime::builder().limits(limits).build();
    let function = small.deploy("plugin", &module).unwrap();
    for entry in ["hold", "keep"] {
        let error = function.invocation(b"event").entry(entry).run().unwrap_err();
        assert_eq!(error.kind().name(), "busy", "{entry}: {error}");
        assert!(error.to_string().contains("resident memory"), "{error}");
        assert!(in_use(&small).1 <= idle, "{entry}");
    }
    drop(function);
    small.undeploy("plugin");
    assert_eq!(in_use(&small), (0, 0));
}

#[test]
fn calls_cost_their_price_in_fuel() {
    let function = everything(Limits::default());
    let price = |name: &str, args: &[u64]| fuel(&function, |guest| drop(call(guest, name, args)));
    let nothing = price("length", &[0]);
    for (name, args) in
        [("load_u8", &[0][..]), ("load_u64", &[0]), ("store_u8", &[0, 0]), ("store_u64", &[0, 0]), ("free", &[0])]
    {
        assert_eq!(price(name, args), nothing, "{name}");
    }
    // A block that is not made costs nothing.
    for len in [0, u64::MAX, 1 << 40] {
        assert_eq!(price("alloc", &[len]), nothing, "{len}");
    }
    for (len, more) in [(1, 1), (64, 1), (65, 2), (6_400, 100), (1 << 20, 1 << 14)] {
        assert_eq!(price("alloc", &[len]) - nothing, more, "{len}");
    }
    let text = |name: &'static str, len: u64| {
        fuel(&function, |guest| {
            let block = call(guest, "alloc", &[len]).unwrap();
            call(guest, name, &[block, 0]).unwrap();
        }) - price("alloc", &[len])
    };
    for name in ["log_info", "var_get", "config_get", "var_set"] {
        assert_eq!(text(name, 6_400) - text(name, 64), 99, "{name}");
    }
}
