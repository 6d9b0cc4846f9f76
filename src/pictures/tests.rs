use std::io::{Cursor, Read};

use super::*;
use crate::arrays;
use crate::data::TensorData;
use proptest::prelude::*;

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image")
}

/// Each file by its name.
fn files() -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(folder().join("files.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let read = |index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    };
    (0..13).map(read).collect()
}

fn file(name: &str) -> Vec<u8> {
    files().into_iter().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn a_picture_is_the_same_after_encoding() {
    for (width, height) in [(1, 1), (7, 3), (64, 48)] {
        let bytes = (0..3 * width * height).map(|n| (n * n / 7) as u8).collect();
        let picture = Picture::new(width, height, bytes).unwrap();
        assert!(decode(&encode(&picture).unwrap(), Vec::new()).unwrap() == picture);
    }
}

#[test]
fn files_hold_what_pillow_reads_in_them() {
    let read = arrays::unpack(&std::fs::read(folder().join("files.npz")).unwrap()).unwrap();
    for (name, bytes) in files() {
        let expected = &read.iter().find(|array| array.name == name).unwrap().tensor;
        let TensorData::U8(pixels) = expected.data() else { panic!("uint8") };
        let picture = decode(&bytes, vec![9; 5]).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!([picture.height(), picture.width(), 3], expected.shape(), "{name}");
        let most = picture.bytes().iter().zip(pixels).map(|(a, b)| a.abs_diff(*b)).max();
        // Decoders of JPEG round, and fill in colours, as each likes.
        let allowed = if name.ends_with("jpg") { 5 } else { 0 };
        assert!(most <= Some(allowed), "{name}: {most:?}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_no_picture() {
    for (name, bytes) in files() {
        for length in [0, 1, 7, 30, bytes.len() / 2, bytes.len() - 1] {
            // Pillow's BMP of 32 bits ends in a colour space that nobody reads.
            if let Ok(picture) = decode(&bytes[..length], Vec::new()) {
                panic!("{name}, {length} of {} bytes: {picture:?}", bytes.len());
            }
        }
    }
}

/// The file without the segments of its Huffman tables.
fn without_tables(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (bytes[..2].to_vec(), 2);
    while bytes[at + 1] != 0xda {
        let length = 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        if bytes[at + 1] != 0xc4 {
            out.extend_from_slice(&bytes[at..at + length]);
        }
        at += length;
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

#[test]
fn a_camera_s_jpeg_without_huffman_tables_is_decoded_with_the_usual_ones() {
    for name in ["422.jpg", "420.jpg", "444.jpg"] {
        let whole = file(name);
        let bare = without_tables(&whole);
        assert!(bare.len() + 400 < whole.len(), "{name} had tables");
        assert_eq!(decode(&bare, Vec::new()), decode(&whole, Vec::new()), "{name}");
    }
}

#[test]
fn padding_behind_the_end_is_no_matter() {
    let mut padded = file("422.jpg");
    padded.extend([0; 100]);
    assert!(decode(&padded, Vec::new()).is_ok());
}

#[test]
fn more_pixels_than_are_taken_are_refused_before_memory_is() {
    let mut png = file("rgb.png");
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    // Its check sum is wrong then, too: either is an error.
    assert!(decode(&png, Vec::new()).is_err());
    let mut bmp = file("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    let error = PictureError::TooLarge { width: 1 << 16, height: 1 << 16 };
    assert_eq!(decode(&bmp, Vec::new()), Err(error));
}

#[test]
fn what_is_no_picture_is_said() {
    let said = decode(b"GIF89a", Vec::new()).unwrap_err().to_string();
    assert_eq!(said, "neither JPEG nor PNG nor BMP");
    let mut compressed = file("rgb.bmp");
    compressed[30] = 1;
    let said = decode(&compressed, Vec::new()).unwrap_err().to_string();
    assert_eq!(said, "BMP: 24 bits with compression 1 are not taken");
}

proptest! {
    #[test]
    fn damage_is_an_error_or_another_picture_and_never_a_panic(
        which in 0usize..13, at in prop::collection::vec((0usize..4000, any::<u8>()), 1..6),
    ) {
        let (_, mut bytes) = files().swap_remove(which);
        for (place, byte) in at {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        decode(&bytes, Vec::new()).ok();
    }
}
