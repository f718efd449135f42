//! Letters without their case, character by character.
//!
//! A capital becomes its small letter if the two are a pair: each is the only other form of the
//! other. A letter with no partner, or with several, stays as it is. So `ß` is neither `SS` nor
//! `ẞ`, the final `ς` is not `Σ`, and the Kelvin sign is not `k`.

/// Puts a text with all capitals made small into `room`.
pub(super) fn fold_into(text: &[u8], room: &mut Vec<u8>) {
    room.clear();
    if text.is_ascii() {
        room.extend(text.iter().map(u8::to_ascii_lowercase));
        return;
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            room.extend_from_slice(small(character).encode_utf8(&mut [0; 4]).as_bytes());
        }
        room.extend_from_slice(chunk.invalid());
    }
}

fn small(character: char) -> char {
    let one = |mut forms: std::char::ToLowercase| Some(forms.next()?).filter(|_| forms.next().is_none());
    let Some(small) = one(character.to_lowercase()).filter(|small| *small != character) else { return character };
    let mut capitals = small.to_uppercase();
    if capitals.next() == Some(character) && capitals.next().is_none() { small } else { character }
}
