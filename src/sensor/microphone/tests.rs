use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::clock::ManualClock;

/// What a device does at each read.
enum Turn {
    /// Gives these bytes.
    Gives(Vec<u8>),
    /// Fails with this error number.
    Fails(i32),
}

#[derive(Clone, Default)]
struct Fake {
    turns: Arc<Mutex<VecDeque<Turn>>>,
    prepared: Arc<Mutex<u32>>,
    channels: u16,
}

impl Fake {
    fn then(&self, turn: Turn) {
        self.turns.lock().expect("one thread").push_back(turn);
    }
}

impl Pcm for Fake {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.turns.lock().expect("one thread").pop_front() {
            Some(Turn::Gives(given)) => {
                bytes[..given.len()].copy_from_slice(&given);
                Ok(given.len())
            }
            Some(Turn::Fails(number)) => Err(io::Error::from_raw_os_error(number)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        *self.prepared.lock().expect("one thread") += 1;
        Ok(())
    }

    fn format(&self) -> (Format, u16) {
        (Format::S16, self.channels)
    }
}

const MS: Duration = Duration::from_millis(1);

fn settings(device: &str) -> MicrophoneSettings {
    MicrophoneSettings { device: device.into(), ..Default::default() }
}

fn microphone(channels: u16, channel: AudioChannel) -> (Fake, Microphone<Fake>, Arc<ManualClock>) {
    let fake = Fake { channels, ..Fake::default() };
    let clock = Arc::new(ManualClock::new());
    let spec = settings("hw:0").spec().expect("fine");
    (fake.clone(), Microphone::new(fake, spec, channel, clock.clone()), clock)
}

/// `count` frames of one channel, counted from 1.
fn counted(count: i16) -> Turn {
    Turn::Gives((1..=count).flat_map(i16::to_le_bytes).collect())
}

fn gaps(frames: &Frames) -> Vec<usize> {
    let stamps = frames.stamps().iter().enumerate();
    stamps.filter(|(_, stamp)| stamp.gap_before).map(|(index, _)| index).collect()
}

#[test]
fn samples_come_as_they_are_ready_stamped_one_period_apart() {
    let (fake, mut microphone, clock) = microphone(1, AudioChannel::Index(0));
    let mut frames = Frames::new(1, 1000);
    assert_eq!(microphone.read(&mut frames), Ok(0));
    clock.advance(MS * 10);
    fake.then(counted(160));
    assert_eq!(microphone.read(&mut frames), Ok(160));
    clock.advance(MS * 20);
    // An uneven piece: the device is asked when it is asked.
    fake.then(counted(200));
    fake.then(counted(120));
    assert_eq!((microphone.read(&mut frames), microphone.read(&mut frames)), (Ok(200), Ok(120)));
    assert_eq!(gaps(&frames), [0]);
    assert_eq!((frames.values()[0], frames.values()[159]), (1.0 / 32768.0, 160.0 / 32768.0));
    let stamps = frames.stamps();
    assert_eq!(stamps[159].at, MS * 10);
    assert_eq!(stamps[1].at - stamps[0].at, Duration::from_nanos(62_500));
    assert!(stamps.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert!(stamps[479].at <= MS * 30 && stamps[479].at > MS * 29);
}

#[test]
fn a_channel_or_the_mean_is_taken() {
    let stereo: Vec<u8> =
        [0x4000_i16, 0, 0x2000, 0x2000].into_iter().flat_map(i16::to_le_bytes).collect();
    for (channel, expected) in [
        (AudioChannel::Index(0), [0.5, 0.25]),
        (AudioChannel::Index(1), [0.0, 0.25]),
        (AudioChannel::Mix, [0.25, 0.25]),
    ] {
        let (fake, mut microphone, _) = microphone(2, channel);
        fake.then(Turn::Gives(stereo.clone()));
        let mut frames = Frames::new(1, 2);
        assert_eq!(microphone.read(&mut frames), Ok(2));
        assert_eq!(frames.values(), expected);
    }
}

#[test]
fn a_ring_that_was_full_is_begun_anew_with_a_gap() {
    let (fake, mut microphone, clock) = microphone(1, AudioChannel::Index(0));
    let mut frames = Frames::new(1, 1000);
    for error in [libc::EPIPE, libc::ESTRPIPE] {
        frames.clear();
        clock.advance(MS * 10);
        fake.then(counted(160));
        fake.then(Turn::Fails(error));
        fake.then(counted(160));
        let reads: Vec<_> = (0..3).map(|_| microphone.read(&mut frames)).collect();
        assert_eq!(reads, [Ok(160), Ok(0), Ok(160)]);
        assert_eq!(gaps(&frames).last(), Some(&160));
    }
    assert_eq!(*fake.prepared.lock().expect("one thread"), 2);
}

#[test]
fn a_device_that_stood_still_without_a_word_leaves_a_gap() {
    let (fake, mut microphone, clock) = microphone(1, AudioChannel::Index(0));
    let mut frames = Frames::new(1, 1000);
    clock.advance(MS * 10);
    fake.then(counted(160));
    assert_eq!(microphone.read(&mut frames), Ok(160));
    clock.advance(MS * 2000);
    fake.then(counted(160));
    assert_eq!(microphone.read(&mut frames), Ok(160));
    assert_eq!(gaps(&frames), [0, 160]);
}

#[test]
fn a_device_that_is_gone_is_a_fault_with_what_to_look_for() {
    let (fake, mut microphone, _) = microphone(1, AudioChannel::Index(0));
    fake.then(Turn::Fails(libc::ENODEV));
    let error = microphone.read(&mut Frames::new(1, 1)).expect_err("gone").to_string();
    assert!(error.starts_with("reading samples: "), "{error}");
    assert!(error.contains("was the device unplugged?"), "{error}");
}

#[test]
fn devices_are_named_by_number_name_or_file() {
    let card = |card: &str, device| Ok(Place::Card { card: card.into(), device });
    assert_eq!(Place::parse("hw:1,2"), card("1", 2));
    assert_eq!(Place::parse("hw:Loopback,1"), card("Loopback", 1));
    assert_eq!(Place::parse("hw:Device"), card("Device", 0));
    assert_eq!(Place::parse("/dev/snd/pcmC0D0c"), Ok(Place::File("/dev/snd/pcmC0D0c".into())));
    for wrong in ["default", "plughw:0", "hw:", "hw:../x", "hw:0,x", "/dev/null"] {
        let why = Place::parse(wrong).expect_err("no device");
        assert!(why.contains("/proc/asound/cards"), "{why}");
    }
}

#[test]
fn settings_that_cannot_be_done_are_all_listed() {
    let bad = MicrophoneSettings {
        rate_hz: 11_025.5,
        channel: AudioChannel::Index(2),
        channels: Some(2),
        ..settings("default")
    };
    let keys: Vec<_> = bad.validate().iter().map(|bad| bad.key).collect();
    assert_eq!(keys, ["device", "rate", "channel"]);
    assert_eq!(settings("hw:0").spec().expect("fine").channels, [Channel::new("audio", "")]);
}
