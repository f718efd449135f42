//! Reading an event for patterns: the same whether its members are found at one look or byte by byte.

use dormouse::MatchError;

use crate::patterns::pattern;

#[test]
fn members_are_read_alike_with_space_around_them_and_without() {
    let pattern = pattern(r#"{"want":["yes"]}"#);
    // Without the spaces of `event`, which stand between members alone.
    let outcome = |event: &str| match pattern.matches(event.as_bytes()) {
        Err(MatchError::Json(error)) => {
            let spaces = event.as_bytes()[..error.offset()].iter().filter(|&&byte| byte == b' ').count();
            Err((error.offset() - spaces, error.problem()))
        }
        other => Ok(other.unwrap()),
    };
    let long = "r".repeat(40);
    let mut sound = 0;
    // The scanner looks at 32 bytes from the key on.
    for (key, value) in (0..36).flat_map(|key| (0..36).step_by(3).map(move |value| (key, value))) {
        let (key, value) = ("k".repeat(key), "v".repeat(value));
        for odd in ["", "\u{1}", "\\n", "\\\"", "\\x", "\u{e4}", "\"", "\":", "\",", "\\", "]", "}"] {
            for member in [
                format!(r#""{key}{odd}":"{value}""#),
                format!(r#""{key}":"{odd}{value}""#),
                format!(r#""{key}":"{value}{odd}""#),
                format!(r#""{key}"{odd}:{odd}"{value}""#),
                format!(r#""{key}":"{value}"{odd}"#),
            ] {
                let dense = format!(r#"{{{member},"want":"yes","{long}":1}}"#);
                let spaced = format!(r#"{{ {member}, "want":"yes", "{long}":1}}"#);
                assert_eq!(outcome(&dense), outcome(&spaced), "{dense}");
                sound += usize::from(outcome(&dense) == Ok(true));
                let dense = format!(r#"{{"want":"yes",{member},"{long}":1}}"#);
                let spaced = format!(r#"{{ "want":"yes", {member}, "{long}":1}}"#);
                assert_eq!(outcome(&dense), outcome(&spaced), "{dense}");
            }
        }
    }
    assert!(sound > 3_000, "{sound}");
}
