use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::super::judge::Limits;
use super::*;
use crate::model::{Digest, archive};
use crate::storage::power::PowerDisk;
use crate::storage::{DirStorage, Disk as _};
use crate::store::Receiving;

const MANIFEST: &str = include_str!("../../../models/gestures/manifest.toml");
const NAME: &str = "gestures";
const CHECK: Duration = Duration::from_secs(3600);

fn bundle(version: &str) -> Bundle {
    let text = MANIFEST.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
    // Content that differs, and is large enough to arrive in several pieces.
    let model = version.bytes().cycle().take(3000).collect();
    Bundle::new(&text, model, None).unwrap()
}

fn bytes(bundle: &Bundle) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive::write(bundle, &mut bytes).unwrap();
    bytes
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn wish(text: &str) -> Wish {
    Wish::Version { version: version(text), allow_downgrade: false }
}

/// What the world does wrong with a version.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Unreachable,
    Cut,
    Corrupt,
    Misfit,
    SelfTest,
    NoMemory,
    Shadow,
    Activation,
    Trial,
}

/// A board and a repository in memory. What it serves ends with the process, as on a real one.
struct Site {
    now: Duration,
    boot: String,
    repository: Vec<Bundle>,
    faults: Vec<(Version, Fault)>,
    serving: Option<Digest>,
    staged: Option<Digest>,
    watched: bool,
    fetched: u64,
    reports: Vec<Report>,
    called: bool,
}

impl Site {
    fn new(versions: &[&str]) -> Self {
        Self {
            now: Duration::ZERO,
            boot: "boot-0".into(),
            repository: versions.iter().map(|version| bundle(version)).collect(),
            faults: Vec::new(),
            serving: None,
            staged: None,
            watched: false,
            fetched: 0,
            reports: Vec::new(),
            called: false,
        }
    }

    fn fault(&self, version: &Version) -> Fault {
        self.faults.iter().find(|(at, _)| at == version).map_or(Fault::None, |&(_, fault)| fault)
    }

    fn find_by(&self, digest: &Digest) -> &Bundle {
        self.repository.iter().find(|bundle| bundle.digest == *digest).unwrap()
    }

    fn staged_fault(&self) -> Fault {
        let staged = self.find_by(self.staged.as_ref().or(self.serving.as_ref()).unwrap());
        self.fault(&staged.manifest.version)
    }
}

fn failed(code: Code) -> Failure {
    Failure::new(code, "as the test wants it")
}

impl World for Site {
    fn now(&self) -> Duration {
        self.now
    }

    fn time(&self) -> String {
        "2026-11-28T12:00:00Z".into()
    }

    fn boot(&self) -> &str {
        &self.boot
    }

    fn find(&mut self, _: &str, wanted: Option<&Version>) -> Result<Candidate, Failure> {
        let is_wanted =
            |bundle: &&Bundle| wanted.is_none_or(|wanted| bundle.manifest.version == *wanted);
        let found = self
            .repository
            .iter()
            .filter(is_wanted)
            .max_by(|a, b| a.manifest.version.cmp(&b.manifest.version));
        let bundle = found.ok_or_else(|| failed(Code::NotFound))?;
        if self.fault(&bundle.manifest.version) == Fault::Unreachable {
            return Err(failed(Code::FetchFailed));
        }
        Ok(Candidate {
            bundle: Installed {
                version: bundle.manifest.version.clone(),
                digest: bundle.digest.clone(),
                origin: Origin::Repository,
            },
            length: bytes(bundle).len() as u64,
        })
    }

    fn fetch(
        &mut self,
        _: &str,
        candidate: &Candidate,
        into: &mut Receiving,
        _: &Report,
    ) -> Result<(), Failure> {
        let mut bytes = bytes(self.find_by(&candidate.bundle.digest));
        let fault = self.fault(&candidate.bundle.version);
        if fault == Fault::Corrupt {
            bytes[1000] ^= 1;
        }
        let from = into.length() as usize;
        for (index, piece) in bytes[from..].chunks(1000).enumerate() {
            if fault == Fault::Cut && index == 2 {
                return Err(failed(Code::FetchFailed));
            }
            self.fetched += piece.len() as u64;
            into.write_all(piece).map_err(|error| Failure::new(Code::Internal, error))?;
        }
        Ok(())
    }

    fn verify(&mut self, _: &str, bundle: &Bundle) -> Result<(), Failure> {
        match self.fault(&bundle.manifest.version) {
            Fault::Misfit => Err(failed(Code::Incompatible)),
            _ => Ok(()),
        }
    }

    fn self_test(&mut self, _: &str, candidate: &Candidate, _: &Path) -> Result<(), Failure> {
        match self.fault(&candidate.bundle.version) {
            Fault::SelfTest => Err(failed(Code::SelfTestFailed)),
            _ => Ok(()),
        }
    }

    fn stage(&mut self, _: &str, bundle: &Bundle) -> Result<(), Failure> {
        if self.fault(&bundle.manifest.version) == Fault::NoMemory {
            return Err(failed(Code::NoMemory));
        }
        self.staged = Some(bundle.digest.clone());
        Ok(())
    }

    fn shadow(&mut self, _: &str) -> Option<Result<(), Failure>> {
        match self.staged_fault() {
            Fault::Shadow => Some(Err(failed(Code::ShadowDisagreed))),
            _ => Some(Ok(())),
        }
    }

    fn activate(&mut self, _: &str) -> Result<(), Failure> {
        if self.staged_fault() == Fault::Activation {
            return Err(failed(Code::Internal));
        }
        self.serving = self.staged.take();
        Ok(())
    }

    fn trial(&mut self, _: &str) -> Verdict {
        if !std::mem::replace(&mut self.watched, true) {
            return Verdict::Wait;
        }
        match self.staged_fault() {
            Fault::Trial => Verdict::Bad(failed(Code::TrialFailed)),
            _ => Verdict::Good,
        }
    }

    fn clear(&mut self, _: &str) {
        self.staged = None;
        self.watched = false;
    }

    fn serve(&mut self, _: &str, bundle: Option<&Bundle>) -> Result<(), Failure> {
        self.serving = bundle.map(|bundle| bundle.digest.clone());
        Ok(())
    }

    fn report(&mut self, _: &str, report: &Report) {
        self.reports.push(report.clone());
    }

    fn interrupted(&self) -> bool {
        self.called
    }
}

fn dir() -> PathBuf {
    "/state/models".into()
}

/// The process starts: what is recorded is read, and the current bundle loaded.
fn start(disk: &PowerDisk, site: &mut Site) -> Result<Updates, Failure> {
    site.serving = None;
    site.clear(NAME);
    let shared: Arc<dyn crate::storage::Disk> = Arc::new(disk.clone());
    let storage = Arc::new(DirStorage::on(shared.clone(), "/state".as_ref()));
    let store = Store::unlocked(shared, &dir())?;
    let mut updates = Updates::open(&[NAME.into()], store, storage, CHECK, site)?;
    if let Ok(bundle) = updates.current(NAME) {
        site.serving = Some(bundle.digest);
    }
    Ok(updates)
}

/// Turns until nothing is to be done at once or soon.
fn settle(updates: &mut Updates, site: &mut Site) {
    for _ in 0..100 {
        match updates.turn(site) {
            Next::AtOnce => {}
            Next::After(wait) if wait <= POLL => site.now += wait,
            Next::After(_) | Next::Nothing => return,
        }
    }
    panic!("it never settles");
}

/// A board on which 1.0.0 serves.
fn board(versions: &[&str]) -> (PowerDisk, Site, Updates) {
    let disk = PowerDisk::new(10 << 20);
    let mut site = Site::new(versions);
    let mut updates = start(&disk, &mut site).unwrap();
    updates.wish(NAME, wish("1.0.0"), &mut site);
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "1.0.0");
    site.reports.clear();
    (disk, site, updates)
}

fn runs(updates: &Updates) -> String {
    let current = updates.record(NAME).unwrap().current.as_ref();
    current.map_or("nothing".into(), |current| current.version.to_string())
}

fn names(disk: &PowerDisk) -> Vec<String> {
    let list = |folder: &str| disk.list(&dir().join(folder)).unwrap();
    list("objects").into_iter().chain(list("partial")).map(|(name, _)| name).collect()
}

#[test]
fn an_update_goes_through_every_step_and_keeps_the_version_before() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    let states: Vec<_> = site.reports.iter().map(|report| report.state).collect();
    let wanted =
        ["fetching", "verifying", "self-testing", "shadowing", "activating", "trial", "committed"];
    // The wish itself changes nothing that is reported.
    assert_eq!(states, wanted);
    assert_eq!(runs(&updates), "1.1.0");
    assert_eq!(site.serving, Some(bundle("1.1.0").digest));
    let record = updates.record(NAME).unwrap();
    assert_eq!(record.previous.as_ref().unwrap().version, version("1.0.0"));
    assert_eq!(names(&disk).len(), 2);
    // A third one: the oldest goes.
    site.repository.push(bundle("1.2.0"));
    updates.wish(NAME, Wish::Newest, &mut site);
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "1.2.0");
    assert_eq!(names(&disk).len(), 2);
}

#[test]
fn whatever_fails_leaves_the_running_version_and_says_why() {
    for (fault, code, state, again) in [
        (Fault::Unreachable, Code::FetchFailed, "rejected", true),
        (Fault::Cut, Code::FetchFailed, "rejected", true),
        (Fault::Corrupt, Code::BadSignature, "rejected", true),
        (Fault::Misfit, Code::Incompatible, "rejected", true),
        (Fault::NoMemory, Code::NoMemory, "rejected", true),
        (Fault::Activation, Code::Internal, "rejected", true),
        (Fault::SelfTest, Code::SelfTestFailed, "rejected", false),
        (Fault::Shadow, Code::ShadowDisagreed, "rejected", false),
        (Fault::Trial, Code::TrialFailed, "reverted", false),
    ] {
        let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
        site.faults.push((version("1.1.0"), fault));
        updates.wish(NAME, wish("1.1.0"), &mut site);
        settle(&mut updates, &mut site);
        let report = updates.report(NAME).unwrap();
        assert_eq!((report.state, runs(&updates).as_str()), (state, "1.0.0"), "{fault:?}");
        assert_eq!(report.failure.unwrap().1.code, code, "{fault:?}");
        assert_eq!(site.serving, Some(bundle("1.0.0").digest), "{fault:?}");
        assert_eq!(names(&disk).len(), 1, "{fault:?}: {:?}", names(&disk));
        // Once the fault is gone it goes through, unless the bundle itself was found guilty.
        site.faults.clear();
        site.now += CHECK;
        settle(&mut updates, &mut site);
        assert_eq!(runs(&updates) == "1.1.0", again, "{fault:?}");
    }
}

#[test]
fn a_cut_download_goes_on_where_it_was_also_after_a_restart() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
    let whole = bytes(&bundle("1.1.0")).len() as u64;
    site.fetched = 0;
    site.faults.push((version("1.1.0"), Fault::Cut));
    updates.wish(NAME, wish("1.1.0"), &mut site);
    // One turn begins, the next fetches until the line is cut; then the process is killed.
    updates.turn(&mut site);
    disk.cut_after(u64::MAX - 1000);
    let digest = bundle("1.1.0").digest;
    let mut receiving = updates.store().receive(&digest, whole).unwrap();
    let candidate = site.find(NAME, Some(&version("1.1.0"))).unwrap();
    site.fetch(NAME, &candidate, &mut receiving, &Report::of(&Record::default())).unwrap_err();
    receiving.sync().unwrap();
    drop((receiving, updates));
    site.faults.clear();
    let mut updates = start(&disk, &mut site).unwrap();
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    assert_eq!((runs(&updates).as_str(), site.fetched), ("1.1.0", whole), "nothing came twice");
}

#[test]
fn older_versions_are_taken_only_when_that_is_meant() {
    let (_disk, mut site, mut updates) = board(&["0.9.0", "1.0.0"]);
    updates.wish(NAME, wish("0.9.0"), &mut site);
    settle(&mut updates, &mut site);
    let (_, failure) = updates.report(NAME).unwrap().failure.unwrap();
    assert!(failure.message.contains("say allow_downgrade"), "{failure}");
    assert_eq!(runs(&updates), "1.0.0");
    updates.wish(NAME, Wish::Newest, &mut site);
    settle(&mut updates, &mut site);
    assert_eq!((runs(&updates).as_str(), updates.report(NAME).unwrap().failure), ("1.0.0", None));
    let meant = Wish::Version { version: version("0.9.0"), allow_downgrade: true };
    updates.wish(NAME, meant, &mut site);
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "0.9.0");
}

#[test]
fn a_roll_back_holds_until_something_else_is_wished() {
    let (_disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
    updates.wish(NAME, Wish::Newest, &mut site);
    settle(&mut updates, &mut site);
    site.faults.push((version("1.0.0"), Fault::Unreachable));
    assert_eq!(updates.roll_back(NAME, None, &mut site).unwrap().version, version("1.0.0"));
    assert_eq!(site.serving, Some(bundle("1.0.0").digest));
    site.now += CHECK;
    updates.look_again();
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "1.0.0");
    site.repository.push(bundle("1.2.0"));
    updates.look_again();
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "1.2.0");
}

#[test]
fn a_roll_back_during_a_download_does_not_call_it_off() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0", "1.2.0"]);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    let whole = bytes(&bundle("1.2.0")).len() as u64;
    updates.wish(NAME, wish("1.2.0"), &mut site);
    site.fetched = 0;
    site.faults.push((version("1.2.0"), Fault::Cut));
    site.called = true;
    assert_eq!(updates.turn(&mut site), Next::AtOnce, "found");
    assert_eq!(updates.turn(&mut site), Next::AtOnce, "fetched in part");
    (site.called, site.faults) = (false, Vec::new());
    updates.roll_back(NAME, None, &mut site).unwrap();
    assert_eq!(runs(&updates), "1.0.0");
    assert_eq!(updates.turn(&mut site), Next::AtOnce, "at once, not with the next check");
    settle(&mut updates, &mut site);
    assert_eq!((runs(&updates).as_str(), site.fetched), ("1.2.0", whole), "nothing came twice");
    assert_eq!(names(&disk).len(), 2);

    // What is tested already is another thing: that is left.
    site.repository.push(bundle("1.3.0"));
    updates.wish(NAME, wish("1.3.0"), &mut site);
    updates.turn(&mut site);
    updates.turn(&mut site);
    updates.roll_back(NAME, None, &mut site).unwrap();
    assert_ne!(updates.turn(&mut site), Next::AtOnce);
    assert_eq!(runs(&updates), "1.0.0");
}

#[test]
fn an_operator_takes_a_version_whatever_is_wished_or_was_refused() {
    let (_disk, mut site, mut updates) = board(&["0.9.0", "1.0.0", "1.1.0"]);
    site.faults.push((version("1.1.0"), Fault::SelfTest));
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    assert!(updates.record(NAME).unwrap().rejection(&bundle("1.1.0").digest).is_some());
    let found = |site: &mut Site, number| site.find(NAME, Some(&version(number))).unwrap();
    let older = found(&mut site, "0.9.0");
    let refused = updates.take(NAME, older.clone(), false, &mut site).unwrap_err();
    assert!(refused.message.contains("--allow-downgrade"), "{refused}");
    let same = found(&mut site, "1.0.0");
    assert_eq!(updates.take(NAME, same, false, &mut site), Ok(false));
    site.faults.clear();
    let newer = found(&mut site, "1.1.0");
    assert_eq!(updates.take(NAME, newer, false, &mut site), Ok(true));
    let busy = updates.take(NAME, older.clone(), true, &mut site).unwrap_err();
    assert_eq!(busy.code, Code::Busy);
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "1.1.0");
    updates.wish(NAME, Wish::Keep, &mut site);
    assert_eq!(updates.take(NAME, older.clone(), true, &mut site), Ok(true));
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "0.9.0");
    assert_eq!(updates.take("stranger", older, true, &mut site).unwrap_err().code, Code::NotFound);
}

#[test]
fn a_pinned_version_stays_and_can_be_gone_back_to_without_a_network() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0", "1.2.0", "1.3.0"]);
    for number in ["1.1.0", "1.2.0", "1.3.0"] {
        updates.wish(NAME, wish(number), &mut site);
        settle(&mut updates, &mut site);
        if number == "1.1.0" {
            let pinned = updates.pin(NAME, Some(&version("1.0.0")), true).unwrap();
            assert_eq!(pinned.version, version("1.0.0"));
        }
    }
    assert_eq!(names(&disk).len(), 3);
    site.faults.push((version("1.0.0"), Fault::Unreachable));
    let gone = updates.roll_back(NAME, Some(&version("1.1.0")), &mut site).unwrap_err();
    assert_eq!(gone.message, "version 1.1.0 is not kept; there is: 1.2.0, 1.0.0");
    updates.roll_back(NAME, Some(&version("1.0.0")), &mut site).unwrap();
    assert_eq!(site.serving, Some(bundle("1.0.0").digest));
    let again = updates.roll_back(NAME, Some(&version("1.0.0")), &mut site).unwrap_err();
    assert_eq!(again.code, Code::BadRequest);
    drop(updates);
    let mut updates = start(&disk, &mut site).unwrap();
    updates.pin(NAME, Some(&version("1.0.0")), false).unwrap();
    assert_eq!(updates.pin(NAME, Some(&version("1.0.0")), false).unwrap_err().code, Code::NotFound);
    assert_eq!(names(&disk).len(), 2, "what serves, and what did before");
}

#[test]
fn whoever_calls_interrupts_the_network_and_no_update_fails_for_it() {
    let (_disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    // First where the repository is asked, then where it is fetched from.
    for (fault, state) in [(Fault::Unreachable, "committed"), (Fault::Cut, "fetching")] {
        site.faults.push((version("1.1.0"), fault));
        site.called = true;
        for _ in 0..3 {
            assert_eq!(updates.turn(&mut site), Next::AtOnce, "{state}");
        }
        let report = updates.report(NAME).unwrap();
        assert_eq!((report.state, report.failure), (state, None));
        site.called = false;
        site.faults.clear();
        if state == "committed" {
            assert_eq!(updates.turn(&mut site), Next::AtOnce, "found");
        }
    }
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "1.1.0");
}

#[test]
fn another_wish_takes_the_place_of_one_that_has_not_taken_over() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0", "1.2.0"]);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    updates.turn(&mut site);
    updates.turn(&mut site);
    updates.wish(NAME, wish("1.2.0"), &mut site);
    settle(&mut updates, &mut site);
    assert_eq!((runs(&updates).as_str(), names(&disk).len()), ("1.2.0", 2));
}

#[test]
fn the_operators_own_bundle_needs_no_repository() {
    let (_disk, mut site, mut updates) = board(&["1.0.0"]);
    site.repository.push(bundle("0.5.0"));
    let own = bundle("0.5.0");
    updates.apply(&own, &mut site).unwrap();
    assert_eq!(updates.apply(&own, &mut site).unwrap_err().code, Code::Busy);
    settle(&mut updates, &mut site);
    let record = updates.record(NAME).unwrap();
    assert_eq!(record.current.as_ref().unwrap().origin, Origin::Local);
    assert_eq!(runs(&updates), "0.5.0");
}

#[test]
fn a_full_disk_refuses_before_anything_begins_and_still_rolls_back() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0", "1.2.0"]);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    let used = (10 << 20) - disk.free_bytes("/".as_ref()).unwrap();
    disk.set_capacity(used);
    updates.wish(NAME, wish("1.2.0"), &mut site);
    settle(&mut updates, &mut site);
    let (_, failure) = updates.report(NAME).unwrap().failure.unwrap();
    assert_eq!(failure.code, Code::NoSpace, "{failure}");
    updates.roll_back(NAME, None, &mut site).unwrap();
    drop(updates);
    let updates = start(&disk, &mut site).unwrap();
    assert_eq!(runs(&updates), "1.0.0");
}

#[test]
fn a_rotten_bundle_gives_way_to_the_one_before() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    disk.rot(&updates.store().path(&bundle("1.1.0").digest));
    drop(updates);
    let mut updates = start(&disk, &mut site).unwrap();
    assert_eq!(site.serving, Some(bundle("1.0.0").digest));
    assert!(updates.report(NAME).unwrap().failure.is_some());
    // And what is wished is fetched again.
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    assert_eq!(runs(&updates), "1.1.0");
}

#[test]
fn a_record_that_cannot_be_read_is_made_up_for_from_the_store() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    drop(updates);
    disk.create("/state/model-gestures.json".as_ref()).unwrap().write_all(b"{\"curr").unwrap();
    let updates = start(&disk, &mut site).unwrap();
    assert_eq!(runs(&updates), "1.1.0");
    assert_eq!(updates.record(NAME).unwrap().previous.as_ref().unwrap().version, version("1.0.0"));
    let (_, failure) = updates.report(NAME).unwrap().failure.unwrap();
    assert!(failure.message.starts_with("the record of model gestures: EOF"), "{failure}");
}

/// Cuts the power `cut` steps into an update, then possibly again into what follows; the board must always
/// start, serve the old or the new version, and end with what is wished and nothing else in the store.
fn survives(seed: u64, cut: u64, again: Option<u64>, fault: Fault) -> bool {
    let context = format!("seed {seed}, cut {cut}, again {again:?}, {fault:?}");
    let (disk, mut site, mut updates) = board(&["0.9.0", "1.0.0", "1.1.0"]);
    site.faults.push((version("1.1.0"), fault));
    disk.cut_after(cut);
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    if !disk.is_off() {
        return false;
    }
    drop(updates);
    for (boot, next) in [again, None].into_iter().enumerate() {
        site.boot = format!("boot-{}", boot + 1);
        disk.power_on(seed + boot as u64);
        if let Some(next) = next {
            disk.cut_after(next);
        }
        let Ok(mut updates) = start(&disk, &mut site) else {
            assert!(disk.is_off(), "{context}: it does not start");
            continue;
        };
        let good = [bundle("1.0.0").digest, bundle("1.1.0").digest];
        let serves = site.serving.clone().unwrap_or_else(|| panic!("{context}: nothing serves"));
        assert!(good.contains(&serves), "{context}");
        assert!(updates.store().has(&good[0]).unwrap(), "{context}: the old version is lost");
        updates.wish(NAME, wish("1.1.0"), &mut site);
        settle(&mut updates, &mut site);
        // Torn bytes are fetched once more after a while.
        site.now += CHECK;
        settle(&mut updates, &mut site);
        if disk.is_off() {
            continue;
        }
        let (wanted, kept) = if fault == Fault::None { ("1.1.0", 2) } else { ("1.0.0", 1) };
        assert_eq!(runs(&updates), wanted, "{context}");
        assert_eq!(names(&disk).len(), kept, "{context}: {:?}", names(&disk));
        let record = updates.record(NAME).unwrap();
        assert_eq!(site.serving.as_ref(), record.current.as_ref().map(|c| &c.digest), "{context}");
    }
    true
}

/// Every step of an update, each with several ways in which unsynced writes may end, and a second cut in what
/// follows. `EDGERUN_FULL` tries more of them.
#[test]
fn no_power_cut_leaves_the_board_without_a_model_or_with_litter() {
    let seeds = if std::env::var_os("EDGERUN_FULL").is_some() { 50 } else { 4 };
    for fault in [Fault::None, Fault::SelfTest, Fault::Trial] {
        for cut in 1.. {
            let mut cut_any = false;
            for seed in 0..seeds {
                let again = (seed % 2 == 1).then_some(1 + (seed * 7 + cut * 5) % 40);
                cut_any |= survives(seed * 1000 + cut, cut, again, fault);
            }
            if !cut_any {
                assert!(cut > 30, "an update has more steps than {cut}");
                break;
            }
        }
    }
}

#[test]
fn an_update_writes_little_beside_the_bundle() {
    let (disk, mut site, mut updates) = board(&["1.0.0", "1.1.0"]);
    let before = disk.written();
    updates.wish(NAME, wish("1.1.0"), &mut site);
    settle(&mut updates, &mut site);
    let (written, bundle) = (disk.written() - before, bytes(&bundle("1.1.0")).len() as u64);
    assert!(written <= bundle * 12 / 10 + 20_000, "{written} bytes for a bundle of {bundle}");
}

#[test]
fn limits_have_sensible_defaults() {
    let Limits { shadow_windows, agreement, .. } = Limits::default();
    assert!(shadow_windows > 0 && (0.0..=1.0).contains(&agreement));
}
