//! A conversation with a function that remembers nothing. Its instances come and go, and the
//! key-value store keeps what the users have said. Messages are events. The replies are events too,
//! which another function shows.
//!
//! ```text
//! $ cargo run --release --example chatbot
//! > ann: hello
//!   ann: pleased to meet you
//! > bob: is anybody there?
//!   bob: pleased to meet you
//! > ann: I said "hello"
//!   ann: this is number 2, and before it you said: hello
//! > ann: do you remember me?
//!   ann: this is number 3, and before it you said: I said "hello"
//! > what is this, it names nobody
//! > bob: bye
//!   bob: goodbye, I forget you
//! > ann: and now?
//!   ann: this is number 4, and before it you said: do you remember me?
//! > bob: it is me again
//!   bob: pleased to meet you
//! What the bot keeps:
//!   ann: 4 messages, the last: and now?
//!   bob: 1 messages, the last: it is me again
//! Not answered: chat.message 501487be8da275267bffca5039d912b7 by messages to bot: attempts, after 3 attempts: bot@050f326: the guest trapped: wasm `unreachable` instruction executed
//! ```

use std::{sync::Arc, time::Duration};

use dormouse::{
    Context, Event, HostError, Retry, Runtime, Trigger, TriggerInput,
    kv::{Grant, KeyValue, Memory},
};

/// Takes `name: text`. Under the name it keeps how often it has heard from the user, in 4 bytes,
/// and the user's last text. `bye` makes it forget the user. It writes by compare-and-set, so that
/// none of two messages at once is lost.
const BOT: &str = r#"(module
    (import "dormouse:kv" "get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "dormouse:kv" "delete" (func $delete (param i32 i32) (result i32)))
    (import "dormouse:kv" "compare_and_set" (func $compare_and_set (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 16) "{\"specversion\":\"1.0\",\"id\":\"-\",\"source\":\"-\",\"type\":\"chat.reply\",\"datacontenttype\":\"text/plain\",\"data\":\"\00")
    (data (i32.const 256) ": pleased to meet you\00")
    (data (i32.const 320) ": this is number \00")
    (data (i32.const 384) ", and before it you said: \00")
    (data (i32.const 448) ": goodbye, I forget you\00")
    (data (i32.const 512) "\"}\00")
    (global $end (mut i32) (i32.const 65536))
    (func (export "alloc") (param i32) (result i32) (i32.const 16384))

    (func $byte (param $byte i32)
      (i32.store8 (global.get $end) (local.get $byte))
      (global.set $end (i32.add (global.get $end) (i32.const 1))))
    ;; A text of our own, up to its 0.
    (func $put (param $at i32)
      (loop $next
        (if (i32.load8_u (local.get $at)) (then
          (call $byte (i32.load8_u (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next)))))
    ;; A text of somebody else's, as a string of JSON has it.
    (func $quote (param $at i32) (param $len i32) (local $byte i32)
      (loop $next
        (if (local.get $len) (then
          (local.set $byte (i32.load8_u (local.get $at)))
          (if (i32.or (i32.eq (local.get $byte) (i32.const 34)) (i32.eq (local.get $byte) (i32.const 92)))
            (then (call $byte (i32.const 92))))
          (call $byte (select (local.get $byte) (i32.const 32) (i32.ge_u (local.get $byte) (i32.const 32))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $len (i32.sub (local.get $len) (i32.const 1)))
          (br $next)))))
    (func $number (param $number i32)
      (if (i32.ge_u (local.get $number) (i32.const 10)) (then (call $number (i32.div_u (local.get $number) (i32.const 10)))))
      (call $byte (i32.add (i32.rem_u (local.get $number) (i32.const 10)) (i32.const 48))))

    (func (export "handle") (param $at i32) (param $len i32) (result i64)
      (local $name i32) (local $text i32) (local $size i32) (local $known i32)
      ;; All that follows has room for this much.
      (if (i32.gt_u (local.get $len) (i32.const 8000)) (then unreachable))
      (loop $next
        (if (i32.ge_u (i32.add (local.get $name) (i32.const 2)) (local.get $len)) (then unreachable))
        (if (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $name))) (i32.const 58)) (then
          (local.set $name (i32.add (local.get $name) (i32.const 1)))
          (br $next))))
      (local.set $text (i32.add (i32.add (local.get $at) (local.get $name)) (i32.const 2)))
      (local.set $size (i32.sub (i32.sub (local.get $len) (local.get $name)) (i32.const 2)))
      ;; What it knows of them, or -1, which also stands for nothing where it is compared.
      (local.set $known (call $get (local.get $at) (local.get $name) (i32.const 40960) (i32.const 16384)))
      (if (i32.lt_s (local.get $known) (i32.const -1)) (then unreachable))
      (call $put (i32.const 16))
      (call $quote (local.get $at) (local.get $name))
      (if (i32.and (i32.eq (local.get $size) (i32.const 3))
                   (i32.eq (i32.and (i32.load (local.get $text)) (i32.const 0xffffff)) (i32.const 0x657962)))
        (then
          (call $put (i32.const 448))
          (drop (call $delete (local.get $at) (local.get $name))))
        (else
          (if (i32.lt_s (local.get $known) (i32.const 0))
            (then
              (call $put (i32.const 256))
              (i32.store (i32.const 57344) (i32.const 1)))
            (else
              (i32.store (i32.const 57344) (i32.add (i32.load (i32.const 40960)) (i32.const 1)))
              (call $put (i32.const 320))
              (call $number (i32.load (i32.const 57344)))
              (call $put (i32.const 384))
              (call $quote (i32.const 40964) (i32.sub (local.get $known) (i32.const 4)))))
          (memory.copy (i32.const 57348) (local.get $text) (local.get $size))
          ;; Not what it was a moment ago, or no room for it: the delivery is made again, or becomes a dead letter.
          (if (i32.ne (i32.const 1) (call $compare_and_set (local.get $at) (local.get $name)
                (i32.const 40960) (local.get $known) (i32.const 57344) (i32.add (local.get $size) (i32.const 4))))
            (then unreachable))))
      (call $put (i32.const 512))
      (i64.or (i64.shl (i64.const 65536) (i64.const 32)) (i64.extend_i32_u (i32.sub (global.get $end) (i32.const 65536))))))"#;

/// Hands its input to the host.
const SCREEN: &str = r#"(module (import "chat" "show" (func $show (param i32 i32))) (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param i32 i32) (result i64) (call $show (local.get 0) (local.get 1)) (i64.const 0)))"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With the feature `durable`, `kv::File::open(path)?` here keeps the conversation over
    // restarts.
    let store = Arc::new(Memory::new());
    let runtime = Runtime::new();
    runtime.deployment("bot", &wat::parse_str(BOT)?).kv(Grant::new(store.clone())).deploy()?;
    let show = |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
        println!("  {}", guest.read_text(at, len)?);
        Ok(())
    };
    runtime.deployment("screen", &wat::parse_str(SCREEN)?).host("chat", "show", show).deploy()?;
    let to_bot = Trigger::on("chat.message").to("bot").input(TriggerInput::Data).emits(["chat.reply"]);
    runtime.bind("messages", to_bot.retry(Retry::fixed(Duration::ZERO).attempts(3)))?;
    runtime.bind("replies", Trigger::on("chat.reply").to("screen").input(TriggerInput::Data))?;

    let messages = [
        "ann: hello",
        "bob: is anybody there?",
        "ann: I said \"hello\"",
        "ann: do you remember me?",
        "what is this, it names nobody",
        "bob: bye",
        "ann: and now?",
        "bob: it is me again",
    ];
    for message in messages {
        println!("> {message}");
        runtime.publish(runtime.event(Event::builder("chat.message").data_text(message))?)?;
        while runtime.deliveries().run_pending(usize::MAX) > 0 {}
        // Now no instance is left that could remember anything.
        runtime.trim(Duration::ZERO);
        assert_eq!(runtime.in_use().instances, 0);
    }

    println!("What the bot keeps:");
    for key in store.list("bot", b"", b"", 100).map_err(|error| error.to_string())? {
        let value = store.get("bot", &key).map_err(|error| error.to_string())?.unwrap_or_default();
        let (count, last) = value.split_first_chunk::<4>().ok_or("a value begins with its count")?;
        println!(
            "  {}: {} messages, the last: {}",
            String::from_utf8_lossy(&key),
            u32::from_le_bytes(*count),
            String::from_utf8_lossy(last)
        );
    }
    for letter in runtime.deliveries().dead_letters() {
        println!("Not answered: {letter}");
    }
    let deliveries = runtime.deliveries().stats();
    assert_eq!((deliveries.succeeded, deliveries.dead_letters), (14, 1), "seven messages and their replies");
    Ok(())
}
