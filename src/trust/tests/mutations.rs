//! Metadata that somebody has scribbled in: refused with a code, or without effect; never a panic, never other bytes.

use proptest::prelude::*;

use super::world::*;

/// One scribble in a file.
#[derive(Clone, Debug)]
enum Edit {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Flip(at, bit) => bytes[at % length] ^= 1 << (bit % 8),
            Self::Cut(at) => bytes.truncate(at % length),
            Self::Insert(at, new) => {
                let at = at % length;
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at % length;
                bytes.drain(at..(at + count % 64).min(length));
            }
            Self::Repeat(at, count) => {
                let at = at % length;
                let part = bytes[at..(at + count % 256).min(length)].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let words: &[&[u8]] = &[
        b"\"",
        b"{",
        b"}",
        b"[",
        b"0",
        b"-1",
        b"99999999999999999999",
        b"null",
        b"\\u0000",
        b"\xff",
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        any::<usize>().prop_map(Edit::Cut),
        (any::<usize>(), proptest::sample::select(words))
            .prop_map(|(at, word)| Edit::Insert(at, word.to_vec())),
        (any::<usize>(), any::<usize>()).prop_map(|(at, count)| Edit::Remove(at, count)),
        (any::<usize>(), any::<usize>()).prop_map(|(at, count)| Edit::Repeat(at, count)),
    ]
}

proptest! {
    #[test]
    fn scribbled_metadata_is_refused_or_harmless(
        file in proptest::sample::select(&["timestamp.json", "2.snapshot.json", "2.targets.json", "2.root.json"][..]),
        edits in proptest::collection::vec(edit(), 1..4),
    ) {
        let mut world = World::seen();
        let keys = world.keys.clone();
        world.rotate(keys);
        world.edit(file, |bytes| edits.iter().for_each(|edit| edit.apply(bytes)));
        match world.update(V2) {
            Ok(bytes) => prop_assert_eq!(bytes, vec![2; 100_000]),
            Err(error) => {
                let known = ["bad_signature", "expired_metadata", "rolled_back_metadata", "too_large", "fetch_failed"];
                prop_assert!(known.contains(&error.code()), "{} {}", error.code(), error);
            }
        }
    }
}
