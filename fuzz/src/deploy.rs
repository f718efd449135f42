//! Any bytes as a module, and generated modules with some bytes changed.

use std::time::Duration;

use dormouse::{Function, Limits, Runtime};

use super::oracle::{FUEL, Oracle, RESETS, compare, generated};

const MEMORY: u64 = 4 << 20;

/// The most bytes of a refusal's text. It lists 1,000 imports, each cut.
const TEXT_MAX: usize = 64 << 10;

/// Takes any bytes as a module. It is refused, or it is deployed and each run is the same cold and
/// warm.
pub fn deploy(bytes: &[u8]) {
    let runtime = Runtime::builder().reset(RESETS[bytes.len() % RESETS.len()]).build();
    let limits =
        Limits { fuel: FUEL, memory_bytes: MEMORY, output_bytes: 4 << 10, log_bytes: 1 << 10, ..Limits::default() };
    match runtime.deployment("f", bytes).limits(limits.clone()).instances(0..=2).deploy() {
        Err(error) => assert!(error.to_string().len() < TEXT_MAX, "{error}"),
        Ok(function) => {
            let exports = Oracle::new(bytes, &limits).map_or_else(Vec::new, |oracle| oracle.scalar_exports());
            let outcomes = |function: &Function| -> Vec<String> {
                let invoked = function.invoke(b"hello");
                let first =
                    invoked.map(|reply| (reply.output().to_vec(), reply.log().to_string(), reply.report().fuel()));
                let calls = exports.iter().take(16).map(|(export, args)| {
                    let called = function.call(export, args);
                    let bits =
                        |values: &[dormouse::Value]| values.iter().map(|value| value.as_u64()).collect::<Vec<_>>();
                    let said =
                        called.map(|called| (bits(called.values()), called.log().to_string(), called.report().fuel()));
                    said.map_or_else(
                        |error| format!("{error} {:?}", error.report().map(|report| report.fuel())),
                        |said| format!("{said:?}"),
                    )
                });
                let calls: Vec<String> = calls.collect();
                std::iter::once(format!("{:?}", first.map_err(|error| error.to_string()))).chain(calls).collect()
            };
            let cold = outcomes(&function);
            assert_eq!(cold, outcomes(&function), "warm");
            function.trim(Duration::ZERO);
            assert_eq!(cold, outcomes(&function), "from the image");
        }
    }
    runtime.undeploy("f");
    assert_eq!(runtime.in_use(), dormouse::InUse::default());
}

/// Takes a module of wasm-smith with up to four changed bytes. The first byte says how many, and
/// four bytes for each say where and how. It runs as in raw wasmi.
pub fn deploy_smith(bytes: &[u8]) {
    let Some((&[count], rest)) = bytes.split_first_chunk() else { return };
    let Some((changes, source)) = rest.split_at_checked(usize::from(count % 5) * 4) else { return };
    let Some(mut module) = generated(source) else { return };
    for change in changes.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % module.len();
        match change[2] % 4 {
            0 => module[at] = change[3],
            1 => module[at] ^= 1 << (change[3] % 8),
            2 => module.insert(at, change[3]),
            _ => drop(module.remove(at)),
        }
    }
    deploy(&module);
    // Raw wasmi has refused it too.
    let _ = compare(&module, source.len() as u64, 6, RESETS[source.len() % RESETS.len()]);
}
