//! A click processor that messages feed. Each click invokes a function, which charges it to its
//! campaign.
//!
//! The campaign service fails now and then, after the charge was made. Then the delivery fails and
//! is retried. Each click is charged once all the same, as the events of a function are published
//! only if it succeeds. Two workers add up the charges of each campaign in their order.
//!
//! ```text
//! $ cargo run --release --example ad_clicks
//! 6000 clicks in 150.7ms: 5700 charged, 300 rejected, 299 tried again
//! campaign 1: 1500 clicks, 37.43
//! campaign 2: 1500 clicks, 37.43
//! campaign 3: 1500 clicks, 37.43
//! campaign 4: 1200 clicks, 29.94
//! ```

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use dormouse::{Context, Event, HostError, Retry, Runtime, Trigger, TriggerInput};

const CLICKS: u32 = 6_000;

/// A click is two numbers of 32 bits: the campaign, and its price in hundredths of a cent. The
/// guest rejects a click without a price. It charges first, and then asks whether the campaign is
/// still on.
const BILL: &str = r#"(module
    (import "ads" "charge" (func $charge (param i32 i32)))
    (import "ads" "is_on" (func $is_on (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param $at i32) (param $len i32) (result i64)
      (if (i32.ne (local.get $len) (i32.const 8)) (then (return (i64.const -1))))
      (if (i32.eqz (i32.load offset=4 (local.get $at))) (then (return (i64.const -1))))
      (call $charge (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
      (if (i32.eqz (call $is_on (i32.load (local.get $at)))) (then unreachable))
      (i64.const 0)))"#;

/// Adds a charge to the account of its campaign.
const ACCOUNT: &str = r#"(module (import "ads" "add" (func $add (param i32 i32))) (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param $at i32) (param i32) (result i64)
      (call $add (i32.load (local.get $at)) (i32.load offset=4 (local.get $at))) (i64.const 0)))"#;

/// Clicks and hundredths of a cent, for each campaign.
type Accounts = BTreeMap<u32, (u64, u64)>;

fn click(number: u32) -> (u32, u32) {
    (1 + number % 4, if number % 20 == 7 { 0 } else { 100 + number % 301 })
}

fn bytes(campaign: u32, price: u32) -> Vec<u8> {
    [campaign.to_le_bytes(), price.to_le_bytes()].concat()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let charge = |guest: &mut Context<'_>, campaign: u32, price: u32| -> Result<(), HostError> {
        let charge = Event::builder("campaign.charged").extension("partitionkey", campaign.to_string());
        let charge = guest.runtime().event(charge.data_binary(bytes(campaign, price)))?;
        guest.publish(charge)?;
        Ok(())
    };
    let (asked, again) = (AtomicU64::new(0), Arc::new(Mutex::new(HashSet::new())));
    let is_on = {
        let again = Arc::clone(&again);
        move |guest: &mut Context<'_>, campaign: u32| -> Result<u32, HostError> {
            let delivery = guest.delivery().ok_or("clicks come by triggers")?;
            if asked.fetch_add(1, Relaxed) % 20 == 19 {
                again.lock().map_err(|_| "poisoned")?.insert((delivery.id, delivery.attempt));
                return Err("the campaign service is away".into());
            }
            Ok(u32::from(campaign <= 4))
        }
    };
    let bill = wat::parse_str(BILL)?;
    runtime.deployment("bill", &bill).host("ads", "charge", charge).host("ads", "is_on", is_on).deploy()?;
    let accounts = Arc::new(Mutex::new(Accounts::new()));
    let to = Arc::clone(&accounts);
    let add = move |_: &mut Context<'_>, campaign: u32, price: u32| {
        let mut accounts = to.lock().expect("no panic while it is held");
        let (clicks, sum) = accounts.entry(campaign).or_default();
        (*clicks, *sum) = (*clicks + 1, *sum + u64::from(price));
    };
    runtime.deployment("account", &wat::parse_str(ACCOUNT)?).host("ads", "add", add).deploy()?;

    let retry = Retry::fixed(Duration::from_millis(5)).attempts(10);
    runtime
        .bind("clicks", Trigger::topic("subject", "ads/+/click")?.to("bill").input(TriggerInput::Data).retry(retry))?;
    runtime.bind("charges", Trigger::on("campaign.charged").to("account").input(TriggerInput::Data).ordered())?;

    let (began, mut expected) = (Instant::now(), Accounts::new());
    let workers = runtime.deliveries().workers(2)?;
    for number in 0..CLICKS {
        let (campaign, price) = click(number);
        // A topic and some bytes, as a broker hands them over.
        let message = Event::builder("message").id(number.to_string()).source("/broker");
        let message = message.subject(format!("ads/{campaign}/click")).data_binary(bytes(campaign, price)).build()?;
        runtime.publish(message)?;
        if price > 0 {
            let (clicks, sum) = expected.entry(campaign).or_default();
            (*clicks, *sum) = (*clicks + 1, *sum + u64::from(price));
        }
    }
    while runtime.deliveries().stats().pending() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(workers);
    let (accounts, letters) = (accounts.lock().expect("no panic"), runtime.deliveries().dead_letters());
    let charged: u64 = accounts.values().map(|(clicks, _)| clicks).sum();
    let again = again.lock().expect("no panic").len();
    println!(
        "{CLICKS} clicks in {:.1?}: {charged} charged, {} rejected, {again} tried again",
        began.elapsed(),
        letters.len()
    );
    for (campaign, (clicks, sum)) in &*accounts {
        println!("campaign {campaign}: {clicks} clicks, {:.2}", *sum as f64 / 10_000.0);
    }
    assert_eq!(*accounts, expected, "each click is charged once");
    assert!(
        letters.iter().all(|letter| letter.reason().name() == "permanent")
            && runtime.deliveries().stats().is_balanced()
    );
    Ok(())
}
