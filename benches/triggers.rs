//! What an event costs on its way to a function, beside a bare invocation in the same run.
//! benches/README.md explains the names.

use std::{hint::black_box, thread, time::Duration};

use criterion::{BatchSize, Criterion, Throughput};
use dormouse::{DeliveryOutcome, Event, Runtime, Trigger, TriggerInput};

/// Answers with the address and the length of its input.
const ECHO: &str = r#"(module (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param i32 i32) (result i64)
      (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;

/// The data of each event: 256 bytes.
const DATA: [u8; 256] = [b'x'; 256];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    delivery(&mut criterion);
    triggers(&mut criterion);
    workers(&mut criterion);
    criterion.final_summary();
}

fn runtime(triggers: usize) -> Runtime {
    let runtime = Runtime::new();
    runtime.deploy("echo", &wat::parse_str(ECHO).expect("a module")).expect("deployed");
    for number in 0..triggers {
        let trigger = Trigger::on(&format!("type.{number:05}")).to("echo").input(TriggerInput::Data);
        runtime.bind(&format!("t{number}"), trigger).expect("bound");
    }
    runtime
}

fn event(ty: usize) -> Event {
    let event = Event::builder(format!("type.{ty:05}")).id("1").source("/bench").subject("house/7/temperature");
    event.data_binary(DATA).build().expect("an event")
}

fn dispatch(runtime: &Runtime, event: &Event) {
    let dispatched = runtime.dispatch(event.clone()).expect("room");
    let [one] = &dispatched[..] else { panic!("{dispatched:?}") };
    assert!(matches!(&one.outcome, DeliveryOutcome::Succeeded(reply) if reply.output() == DATA));
    black_box(dispatched);
}

/// A bare invocation, and the same invocation as a delivery.
fn delivery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("delivery");
    let runtime = runtime(1);
    let (function, event) = (runtime.find("echo").expect("deployed"), event(0));
    group.bench_function("invoke", |bencher| {
        bencher.iter(|| assert_eq!(function.invoke(black_box(&DATA)).expect("an answer").output(), DATA));
    });
    group.bench_function("dispatch", |bencher| bencher.iter(|| dispatch(&runtime, &event)));
    group.bench_function("publish_and_run", |bencher| {
        bencher.iter(|| {
            assert_eq!(runtime.publish(event.clone()), Ok(1));
            assert_eq!(runtime.deliveries().run_pending(1), 1);
        });
    });
    assert!(runtime.deliveries().stats().is_balanced());
}

/// From publishing to the reply, with one match among so many triggers of each source.
fn triggers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish_to_reply");
    for count in [1, 1_000, 10_000] {
        let by_type = runtime(count);
        group.bench_function(format!("type/{count}"), |bencher| bencher.iter(|| dispatch(&by_type, &event(count / 2))));
        let by_topic = runtime(0);
        let by_pattern = runtime(0);
        for number in 0..count {
            let room = if number == count / 2 { 7 } else { number + 100_000 };
            let trigger = Trigger::topic("subject", &format!("house/{room}/+")).expect("a filter");
            by_topic.bind(&format!("t{number}"), trigger.to("echo").input(TriggerInput::Data)).expect("bound");
            let pattern = format!(r#"{{"type":["type.{number:05}"]}}"#);
            let trigger = Trigger::pattern(&pattern).expect("a pattern").to("echo").input(TriggerInput::Data);
            by_pattern.bind(&format!("t{number}"), trigger).expect("bound");
        }
        group.bench_function(format!("topic/{count}"), |bencher| bencher.iter(|| dispatch(&by_topic, &event(0))));
        group.bench_function(format!("pattern/{count}"), |bencher| {
            bencher.iter(|| dispatch(&by_pattern, &event(count / 2)));
        });
    }
}

/// 2,000 queued events, run by so many workers.
fn workers(criterion: &mut Criterion) {
    const EVENTS: u64 = 2_000;
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(20);
    for count in [1, 2] {
        let (runtime, event) = (runtime(1), event(0));
        group.bench_function(format!("workers/{count}"), |bencher| {
            let fill = || (0..EVENTS).for_each(|_| assert_eq!(runtime.publish(event.clone()), Ok(1)));
            bencher.iter_batched(
                fill,
                |()| {
                    let workers = runtime.deliveries().workers(count).expect("threads");
                    while runtime.deliveries().stats().pending() > 0 {
                        thread::sleep(Duration::from_micros(50));
                    }
                    drop(workers);
                },
                BatchSize::PerIteration,
            );
        });
        let deliveries = runtime.deliveries().stats();
        assert!(deliveries.is_balanced() && deliveries.succeeded == deliveries.matched);
    }
}
