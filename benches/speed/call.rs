//! What does a plain call of an export cost above wasmi's own, if the module cannot write to
//! anything?

use std::hint::black_box;

use criterion::Criterion;
use dormouse::{Runtime, StartKind, Value};
use wasmi::{Instance, Store, Val};

use crate::{
    guests::adder,
    raw::{self, FUEL},
};

pub(crate) fn benches(criterion: &mut Criterion) {
    let bytes = adder();
    let engine = raw::engine();
    let module = raw::compile(&engine, &bytes);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("it instantiates");
    let add = instance.get_func(&store, "add").expect("add");
    let typed = add.typed::<(i32, i32), i32>(&store).expect("its type");
    let mut group = criterion.benchmark_group("call");

    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            store.set_fuel(FUEL).expect("fuel is metered");
            assert_eq!(typed.call(&mut store, black_box((20, 22))).expect("add"), 42);
        });
    });
    // The function is found by its name, as `Function::call` finds it, and its type is known only
    // at run time.
    group.bench_function("floor_by_name", |bencher| {
        let mut sum = [Val::I32(0)];
        bencher.iter(|| {
            store.set_fuel(FUEL).expect("fuel is metered");
            let add = instance.get_func(&store, black_box("add")).expect("add");
            add.call(&mut store, black_box(&[Val::I32(20), Val::I32(22)]), &mut sum).expect("add");
            assert_eq!(sum[0].i32(), Some(42));
        });
    });
    let function = Runtime::new().deploy("add", &bytes).expect("it deploys");
    function.call("add", &[Value::I32(0), Value::I32(0)]).expect("the first makes an instance");
    group.bench_function("warm", |bencher| {
        bencher.iter(|| {
            let sum = function.call(black_box("add"), black_box(&[Value::I32(20), Value::I32(22)])).expect("add");
            assert_eq!((sum.values(), sum.report().start()), (&[Value::I32(42)][..], StartKind::Warm));
        });
    });
    // Calls within one invocation, without reading the clock, the pool and the report.
    group.bench_function("session", |bencher| {
        bencher.iter_custom(|count| {
            let timed = function.session(|guest| {
                let began = std::time::Instant::now();
                for _ in 0..count {
                    let sum = guest.call(black_box("add"), black_box(&[Value::I32(20), Value::I32(22)]))?;
                    assert_eq!(*sum, [Value::I32(42)]);
                }
                Ok(began.elapsed())
            });
            *timed.expect("it answers").value()
        });
    });
    group.finish();
}
