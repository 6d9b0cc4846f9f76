use proptest::prelude::*;

use super::*;

const TEXT: &str = include_str!("../../../models/gestures/manifest.toml");

fn bundle() -> Bundle {
    let mut bundle = Bundle::new(TEXT, vec![7; 700], Some(vec![1; 512])).unwrap();
    bundle.metrics = Some(b"{}".to_vec());
    bundle.digest = digest(&bundle);
    bundle
}

fn packed(bundle: &Bundle) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(bundle, &mut bytes).unwrap();
    bytes
}

fn why(bytes: &[u8]) -> String {
    read(&mut &*bytes).expect_err("refused").to_string()
}

/// An archive of members with these names, kinds and contents, each header with a good checksum.
fn archive(members: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, content) in members {
        let mut block = header(name, content.len() as u64);
        block[156] = *kind;
        checksum(&mut block);
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + padding(content.len()), 0);
    }
    bytes.resize(bytes.len() + END, 0);
    bytes
}

fn checksum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn what_is_packed_is_read_back_with_the_digest_of_its_bytes() {
    let bundle = bundle();
    let bytes = packed(&bundle);
    assert_eq!(bytes, packed(&bundle), "the same input gives the same bytes");
    let again = read(&mut &*bytes).unwrap();
    assert_eq!(again.members().collect::<Vec<_>>(), bundle.members().collect::<Vec<_>>());
    assert_eq!(again.digest, hex(&Sha256::digest(&bytes)));
    assert_eq!(again.digest, bundle.digest);
    assert!(looks_like(&bytes));
}

#[test]
fn members_may_be_few() {
    let mut bundle = bundle();
    for (golden, metrics) in [(false, true), (true, false), (false, false)] {
        bundle.golden = golden.then(|| vec![3]);
        bundle.metrics = metrics.then(|| vec![4; 513]);
        let again = read(&mut &*packed(&bundle)).unwrap();
        assert_eq!((&again.golden, &again.metrics), (&bundle.golden, &bundle.metrics));
    }
}

#[test]
fn hostile_members_are_refused_by_name() {
    let manifest = ("manifest.toml", b'0', TEXT.as_bytes());
    let model = ("gestures.tflite", b'0', &b"model"[..]);
    let golden = ("golden.npz", b'0', &b"PK"[..]);
    let long = "x".repeat(100);
    for (members, wanted) in [
        (vec![], "it is empty"),
        (vec![model], "at byte 0 there is \"gestures.tflite\", where manifest.toml may come"),
        (vec![manifest], "\"gestures.tflite\" is missing"),
        (vec![manifest, golden], "where gestures.tflite may come"),
        (vec![manifest, model, model], "where golden.npz or metrics.json may come"),
        (vec![manifest, model, golden, golden], "where metrics.json may come"),
        (vec![manifest, ("../gestures.tflite", b'0', b"")], "there is \"../gestures.tflite\""),
        (vec![manifest, ("/etc/passwd", b'0', b"")], "there is \"/etc/passwd\""),
        (vec![manifest, (&long, b'0', b"")], "where gestures.tflite may come"),
        (vec![manifest, ("gestures.tflite", b'1', b"")], "is a link"),
        (vec![manifest, ("gestures.tflite", b'2', b"")], "is a link"),
        (vec![manifest, ("gestures.tflite", b'3', b"")], "is a device or pipe"),
        (vec![manifest, ("gestures.tflite", b'5', b"")], "is a folder"),
        (vec![manifest, ("gestures.tflite", b'6', b"")], "is a device or pipe"),
        (vec![manifest, ("gestures.tflite", b'S', b"")], "is a sparse file"),
        (vec![manifest, ("gestures.tflite", b'L', b"")], "is an extended header"),
        (vec![manifest, ("pax", b'x', b"")], "is an extended header"),
        (vec![manifest, ("gestures.tflite", 0, b"")], "is no plain file"),
    ] {
        let why = why(&archive(&members));
        assert!(why.contains(wanted), "{wanted}: {why}");
    }
}

#[test]
fn sizes_that_lie_take_no_memory() {
    let good = packed(&bundle());
    let model = BLOCK + TEXT.len().next_multiple_of(BLOCK);
    let edited = |change: &dyn Fn(&mut [u8; BLOCK])| {
        let mut bytes = good.clone();
        let block: &mut [u8; BLOCK] = (&mut bytes[model..model + BLOCK]).try_into().unwrap();
        change(block);
        checksum(block);
        why(&bytes)
    };
    let size =
        |text: &'static str| edited(&|block| block[124..136].copy_from_slice(text.as_bytes()));
    assert!(size("77777777777\0").contains("has 8589934591 bytes, at most 536870912 are read"));
    assert!(size("00777777777\0").contains("it ends in the middle of gestures.tflite"));
    assert!(size("           \0").contains("has no proper size"));
    assert!(size("-0000000001\0").contains("has no proper size"));
    assert!(size("00000001273\0").contains("something is hidden behind gestures.tflite"));
    let owner = edited(&|block| block[265] = b'r');
    assert!(owner.contains("the header of gestures.tflite holds more than name and size"));
    let prefix = edited(&|block| block[345] = b'/');
    assert!(prefix.contains("holds more than name and size"));
}

#[test]
fn nothing_may_be_missing_or_follow() {
    let good = packed(&bundle());
    for end in 0..good.len() {
        read(&mut &good[..end]).expect_err("cut short");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(why(&longer).contains("something follows its end"), "{}", why(&longer));
    let mut hidden = good;
    let last = hidden.len() - 1;
    hidden[last] = 1;
    assert!(why(&hidden).contains("is not of zeros"), "{}", why(&hidden));
}

#[test]
fn other_files_are_no_bundles() {
    for bytes in [&b""[..], b"TFL3", b"PK\x03\x04", &[0; 2048], &[0xff; 4096]] {
        read(&mut &*bytes).expect_err("no bundle");
        assert!(!looks_like(bytes));
    }
}

proptest! {
    /// One form only: whatever is accepted is what would be written.
    #[test]
    fn what_is_accepted_is_canonical(
        changes in prop::collection::vec((0usize..8192, any::<u8>()), 1..4),
        cut in prop::option::of(0usize..8192),
    ) {
        let mut bytes = packed(&bundle());
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        if let Ok(read) = read(&mut &*bytes) {
            prop_assert_eq!(&packed(&read), &bytes);
            prop_assert_eq!(read.digest, hex(&Sha256::digest(&bytes)));
        }
    }
}
