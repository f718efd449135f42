//! What the functions of `extism:host/env` answer: the event and the reply, configuration,
//! variables, logs and requests.

use dormouse::{Context, DeployError, Extism, HostError, InvokeErrorKind, Limits, LogLevel, Runtime};

use crate::extism::{alike, deploy, deploy_with, failure, output, plugin, run};

#[test]
fn the_event_is_read_by_bytes_and_by_words_and_nothing_beyond_it() {
    // It answers with what it loaded, eight bytes each.
    let function = deploy(
        r#"(func $out (param $at i32) (param $value i64) (i64.store (local.get $at) (local.get $value)))
           (func (export "look") (local $n i64) (local.set $n (call $input_length))
             (call $out (i32.const 0) (local.get $n))
             (call $out (i32.const 8) (i64.extend_i32_u (call $input_load_u8 (i64.const 0))))
             (call $out (i32.const 16) (i64.extend_i32_u (call $input_load_u8 (i64.sub (local.get $n) (i64.const 1)))))
             (call $out (i32.const 24) (i64.extend_i32_u (call $input_load_u8 (local.get $n))))
             (call $out (i32.const 32) (i64.extend_i32_u (call $input_load_u8 (i64.const -1))))
             (call $out (i32.const 40) (call $input_load_u64 (i64.const 1)))
             (call $out (i32.const 48) (call $input_load_u64 (i64.sub (local.get $n) (i64.const 8))))
             (call $out (i32.const 56) (call $input_load_u64 (i64.sub (local.get $n) (i64.const 7))))
             (call $out (i32.const 64) (call $input_load_u64 (i64.const -4)))
             (call $out (i32.const 72) (call $length (call $input_offset)))
             (call $out (i32.const 80) (call $load_u64 (i64.add (call $input_offset) (i64.const 1))))
             (call $out (i32.const 88) (i64.extend_i32_u (i64.eqz (call $input_offset))))
             (call $reply (call $text (i32.const 0) (i32.const 96))))"#,
    );
    let look = |input: &[u8]| -> Vec<u64> {
        let (bytes, _) = alike(&function, input).unwrap();
        bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
    };
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let input = b"\xff23456789z";
    let (one, two) = (word(&input[1..9]), word(&input[2..10]));
    assert_eq!(look(input), [10, 0xff, u64::from(b'z'), 0, 0, one, two, 0, 0, 10, one, 0]);
    // Without an event there is no block.
    assert_eq!(look(b""), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn an_event_can_be_set_anew_and_freed() {
    let function = deploy(
        r#"(data (i32.const 0) "another")
           (func (export "go") (result i32) (local $block i64)
             (local.set $block (call $text (i32.const 0) (i32.const 7)))
             (call $input_set (i64.add (local.get $block) (i64.const 2)) (i64.const 5))
             (if (i64.ne (call $input_length) (i64.const 5)) (then (return (i32.const 1))))
             (if (i32.ne (call $input_load_u8 (i64.const 0)) (i32.const 111)) (then (return (i32.const 2))))
             ;; Beyond the block, and no block: it stays as it was.
             (call $input_set (local.get $block) (i64.const 8))
             (call $input_set (i64.const 77) (i64.const 1))
             (call $input_set (i64.const 0) (i64.const 1))
             (if (i64.ne (call $input_length) (i64.const 5)) (then (return (i32.const 3))))
             (call $input_set (local.get $block) (i64.const 7))
             (call $free (local.get $block))
             (if (i64.ne (call $input_length) (i64.const 0)) (then (return (i32.const 4))))
             (if (i64.ne (call $input_offset) (local.get $block)) (then (return (i32.const 5))))
             (if (i32.ne (call $input_load_u8 (i64.const 0)) (i32.const 0)) (then (return (i32.const 6))))
             (call $input_set (i64.const 0) (i64.const 0))
             (if (i64.ne (call $input_offset) (i64.const 0)) (then (return (i32.const 7))))
             (i32.const 0))"#,
    );
    assert_eq!(output(&function, b"event"), "");
}

#[test]
fn the_reply_is_the_last_range_that_lies_within_a_block_as_its_bytes_are_in_the_end() {
    let data = r#"(data (i32.const 0) "0123456789")"#;
    let with = |steps: &str| {
        let block = "(local $block i64) (local.set $block (call $text (i32.const 0) (i32.const 10)))";
        output(&deploy(&format!(r#"{data} (func (export "go") {block} {steps})"#)), b"")
    };
    let set = |at: i64, len: i64| {
        format!("(call $output_set (i64.add (local.get $block) (i64.const {at})) (i64.const {len}))")
    };
    assert_eq!(with(""), "");
    assert_eq!(with(&set(0, 10)), "0123456789");
    assert_eq!(with(&(set(0, 10) + &set(3, 4))), "3456");
    assert_eq!(with(&(set(3, 4) + &set(5, 0))), "");
    // What is out of bounds changes nothing, and neither does (0, 0).
    for bad in [set(0, 11), set(10, 1), set(10, 0), set(9, 2), set(0, -1), set(9, i64::MAX), set(-1, 2)] {
        assert_eq!(with(&(set(3, 4) + &bad)), "3456", "{bad}");
    }
    for bad in ["(i64.const 0) (i64.const 0)", "(i64.const 0) (i64.const 1)", "(i64.const -1) (i64.const 1)"] {
        assert_eq!(with(&(set(3, 4) + &format!("(call $output_set {bad})"))), "3456", "{bad}");
    }
    let store = "(call $store_u8 (i64.add (local.get $block) (i64.const 4)) (i32.const 0x2a))";
    assert_eq!(with(&(set(3, 4) + store)), "3*56");
    // PDKs free the block before they return.
    let free = "(call $free (local.get $block))";
    assert_eq!(with(&(set(3, 4) + free)), "3456");
    // Then they log.
    let log = "(call $log_info (call $text (i32.const 1) (i32.const 9)))";
    assert_eq!(with(&(set(3, 4) + free + log + log)), "3456");
    let again = "(local.set $block (call $text (i32.const 0) (i32.const 10)))";
    assert_eq!(with(&(set(3, 4) + free + again + &set(1, 2) + free + log + log)), "12");
    assert_eq!(with(&(set(3, 4) + "(call $reset)")), "");
    let back = "(call $output_set (i64.add (call $output_offset) (i64.const 1)) (i64.sub (call $output_length) (i64.const 2)))";
    assert_eq!(with(&(set(3, 4) + back)), "45");
}

#[test]
fn a_reply_above_the_limit_is_refused() {
    let body = r#"(func (export "go") (call $output_set (call $input_offset) (call $input_length)))"#;
    let limits = Limits { output_bytes: 4, ..Limits::default() };
    let function = deploy_with(body, |deployment| deployment.limits(limits));
    assert_eq!(output(&function, b"four"), "four");
    assert_eq!(failure(&function, b"fives"), InvokeErrorKind::OutputTooLarge { size: 5, limit: 4 });
}

#[test]
fn configuration_is_what_the_deployment_gave() {
    let body = r#"(func (export "get") (call $reply (call $config_get (call $input_offset))))
                  (func (export "key_is_freed") (result i32) (drop (call $config_get (call $input_offset)))
                    (i32.wrap_i64 (i64.add (call $length (call $input_offset)) (call $input_length))))
                  (func (export "handle") (result i32) (i64.ne (call $config_get (call $input_offset)) (i64.const 0)))"#;
    let function = deploy_with(body, |deployment| {
        deployment.extism(
            Extism::new()
                .config("unit", "vowels")
                .config("größe", "old")
                .config("größe", "100 µm")
                .config("empty", "")
                .config("", "nameless"),
        )
    });
    let get = |key: &str| {
        let reply = function.invocation(key.as_bytes()).entry("get").run().unwrap();
        String::from_utf8(reply.into_output()).unwrap()
    };
    assert_eq!([get("unit"), get("größe"), get("")], ["vowels", "100 µm", "nameless"]);
    assert_eq!(function.invocation(b"unit").entry("key_is_freed").run().unwrap().output(), b"");
    // An absent value and an empty one look the same.
    for key in ["no such", "empty", "uni"] {
        assert_eq!(output(&function, key.as_bytes()), "", "{key}");
    }
    let not_text = failure(&function, b"\xff");
    assert!(not_text.to_string().contains("config_get failed: the key of a configuration is not UTF-8"), "{not_text}");
}

/// A plug-in whose entries use variables: `set` sets `k` to the event, and `get` answers with the
/// variable that the event names.
const VARS: &str = r#"(data (i32.const 0) "k")
    (func $key (result i64) (call $text (i32.const 0) (i32.const 1)))
    (func (export "get") (call $reply (call $var_get (call $input_offset))))
    (func (export "set") (call $var_set (call $key) (call $input_offset)) (call $reply (call $var_get (call $key))))
    (func (export "twice") (call $var_set (call $key) (call $text (i32.const 0) (i32.const 1)))
      (call $var_set (call $key) (call $input_offset)) (call $reply (call $var_get (call $key))))
    (func (export "remove") (call $var_set (call $key) (i64.const 0)) (call $reply (call $var_get (call $key))))
    (func (export "blocks_are_freed") (result i32) (local $key i64) (local.set $key (call $key))
      (call $var_set (local.get $key) (call $input_offset))
      (i32.wrap_i64 (i64.add (call $length (local.get $key)) (call $length (call $input_offset)))))
    (func (export "many") (local $i i32)
      (loop (i32.store8 (i32.const 100) (i32.and (local.get $i) (i32.const 127)))
        (i32.store8 (i32.const 101) (i32.shr_u (local.get $i) (i32.const 7)))
        (call $var_set (call $text (i32.const 100) (i32.const 2)) (call $alloc (i64.const 1000)))
        (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2000)))))"#;

#[test]
fn variables_are_seeded_by_the_deployment_and_fresh_in_each_invocation() {
    let function = deploy_with(VARS, |deployment| {
        deployment.extism(Extism::new().var("k", b"old").var("k", b"seed").var("other", b"\0\xff").var("none", b""))
    });
    for _ in 0..3 {
        assert_eq!(run(&function, "get", b"k").unwrap(), "seed");
        assert_eq!(run(&function, "set", b"mine").unwrap(), "mine");
        assert_eq!(run(&function, "get", b"k").unwrap(), "seed");
        assert_eq!(run(&function, "twice", b"again").unwrap(), "again");
        assert_eq!(run(&function, "remove", b"").unwrap(), "");
        assert_eq!(run(&function, "get", b"none").unwrap(), "");
        assert_eq!(run(&function, "get", b"no such").unwrap(), "");
        assert_eq!(run(&function, "blocks_are_freed", b"event").unwrap(), "");
    }
    assert_eq!(function.invocation(b"other").entry("get").run().unwrap().output(), b"\0\xff");
    let not_text = run(&function, "get", b"\xff").unwrap_err().to_string();
    assert!(not_text.contains("var_get failed: the key of a variable is not UTF-8"), "{not_text}");
}

#[test]
fn variables_hold_a_mebibyte_and_no_more() {
    let function = deploy(VARS);
    // A key of one byte, and 48 for each.
    let most = (1 << 20) - 49;
    assert_eq!(run(&function, "set", &vec![b'x'; most]).unwrap().len(), most);
    let full = |entry: &str, input: &[u8]| {
        let error = run(&function, entry, input).unwrap_err();
        assert!(matches!(error.kind(), InvokeErrorKind::HostFunction { name, .. } if &**name == "var_set"), "{error}");
        assert!(error.to_string().contains("Variable store is full"), "{error}");
    };
    full("set", &vec![b'x'; most + 1]);
    // A replaced value counts too, as in Extism.
    full("twice", &vec![b'x'; most]);
    assert_eq!(run(&function, "twice", &vec![b'x'; most - 50]).unwrap().len(), most - 50);
    full("many", b"");
    // Memory is the other limit.
    let limits = Limits { memory_bytes: (64 << 10) + 4_000, ..Limits::default() };
    let function = deploy_with(VARS, |deployment| deployment.limits(limits));
    assert_eq!(run(&function, "set", &[b'x'; 1_000]).unwrap().len(), 1_000);
    let error = run(&function, "set", &[b'x'; 2_000]).unwrap_err().to_string();
    assert!(error.contains("would exceed `Limits::memory_bytes`"), "{error}");

    let runtime = Runtime::new();
    let module = plugin(VARS);
    let seeded =
        |value: &[u8]| runtime.deployment("plugin", &module).extism(Extism::new().var("k", value)).deploy().err();
    assert!(seeded(&vec![0; most]).is_none());
    let error = seeded(&vec![0; most + 1]).unwrap();
    assert!(matches!(error, DeployError::InvalidOption { option: "var", .. }), "{error}");
    let error = runtime
        .deployment("plugin", &module)
        .extism(Extism::new().config("k", &"x".repeat(most + 1)))
        .deploy()
        .err()
        .unwrap();
    assert!(matches!(error, DeployError::InvalidOption { option: "config", .. }), "{error}");
}

#[test]
fn logs_are_lines_with_their_levels_from_the_deployments_level_on() {
    let levels = ["trace", "debug", "info", "warn", "error"];
    let calls: String =
        levels.map(|level| format!("(call $log_{level} (call $text (i32.const 0) (i32.const 5)))")).concat();
    let body = format!(
        r#"(data (i32.const 0) "hello\ff\fe")
           (func (export "level") (i32.store8 (i32.const 16) (call $get_log_level)) (call $reply (call $text (i32.const 16) (i32.const 1))))
           (func (export "handle") {calls} (call $log_error (i64.const 0)) (call $log_error (call $text (i32.const 4) (i32.const 3))))
           (func (export "bad") (call $log_info (i64.const 99)))
           (func (export "frees") (result i32) (local $text i64) (local.set $text (call $text (i32.const 0) (i32.const 5)))
             (call $log_debug (local.get $text)) (i32.wrap_i64 (call $length (local.get $text))))"#
    );
    let all = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Off];
    for (number, level) in (0..).zip(all) {
        let function = deploy_with(&body, |deployment| deployment.extism(Extism::new().log_level(level)));
        let (_, log) = alike(&function, b"").unwrap();
        let mut expected: String = levels.iter().skip(number).map(|level| format!("{level}: hello\n")).collect();
        if level != LogLevel::Off {
            let not_text = "error: the message of a log is not UTF-8: invalid utf-8 sequence of 1 bytes from index 1\n";
            expected.push_str(&format!("error: \n{not_text}"));
        }
        assert_eq!(log, expected, "{level}");
        let answer = if level == LogLevel::Off { 0xff } else { number as u8 };
        assert_eq!(function.invocation(b"").entry("level").run().unwrap().output(), [answer]);
        assert_eq!(run(&function, "frees", b"").unwrap(), "");
        // A level that is not kept does not look at the handle.
        let bad = run(&function, "bad", b"");
        match bad {
            Ok(_) => assert!(level > LogLevel::Info),
            Err(error) => {
                assert!(level <= LogLevel::Info);
                assert!(
                    error.to_string().contains("log_info failed: invalid handle for message of a log: 0x63"),
                    "{error}"
                );
            }
        }
    }
    assert_eq!(
        alike(&deploy(&body), b"").unwrap().1.lines().count(),
        7,
        "all are kept unless the deployment says otherwise"
    );
}

#[test]
fn requests_are_refused_by_their_address_and_a_host_may_grant_its_own() {
    let body = r#"(func (export "handle") (result i32)
          (if (i32.ne (call $http_status_code) (i32.const 0)) (then (return (i32.const 1))))
          (if (i64.ne (call $http_headers) (i64.const 0)) (then (return (i32.const 2))))
          (call $reply (call $http_request (call $input_offset) (i64.const 0)))
          (i32.const 0))"#;
    let function = deploy(body);
    let message = |input: &[u8]| match failure(&function, input) {
        InvokeErrorKind::HostFunction { name, message, .. } if &*name == "http_request" => message.into_string(),
        other => panic!("{other}"),
    };
    let refused =
        message(br#"{"headers":{"Authorization":["secret",{}]},"method":"GET","url":"https://example.com/a?b=c"}"#);
    assert!(
        refused.starts_with("HTTP request to https://example.com/a?b=c is not allowed: a guest has no network"),
        "{refused}"
    );
    assert!(!refused.contains("secret"), "{refused}");
    for bad in [&b""[..], b"{}", br#"{"url":1}"#, b"[", b"\xff", &[b'['; 60_000]] {
        let refused = message(bad);
        assert!(refused.starts_with("the request is not what it should be: "), "{refused}");
    }
    assert_eq!(message(&[b' '; 65_537]), "the request has 65537 bytes, more than 65536");
    let answer = |guest: &mut Context<'_>, request: u64, _body: u64| -> Result<u64, HostError> {
        let request = guest.read_block(request)?;
        Ok(guest.new_block(&[&b"asked: "[..], &request].concat())?)
    };
    let granted = deploy_with(body, |deployment| deployment.host("extism:host/env", "http_request", answer));
    assert_eq!(output(&granted, b"{}"), "asked: {}");
    assert_eq!(granted.invoke(b"{}").unwrap().report().host_calls(), 1);
    assert_eq!(function.invoke(b"{}").unwrap_err().report().unwrap().host_calls(), 0);
}
