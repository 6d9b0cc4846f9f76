//! Which commands have been carried out, and what came of them: said again, a command is answered again and not
//! carried out again.
//!
//! The last [`REMEMBERED`] of those that change the board are on disk, as a ring over [`FILES`] small files: each
//! command writes one of a few kilobytes, which is a page or two of a flash memory. What changes nothing is
//! remembered in memory only, and only as far as its answers are small.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Verb;
use crate::net::wire::command::{Code, Outcome, Refusal};
use crate::storage::{FileName, Storage};

/// Commands that are remembered, of each kind.
pub(super) const REMEMBERED: u64 = 256;
/// Files that these lie in.
const FILES: u64 = 16;
/// In each.
const EACH: u64 = REMEMBERED / FILES;
/// Bytes of an outcome on disk; a longer one is remembered without its words.
const OUTCOME_BYTES_MAX: usize = 1024;
/// Bytes of outcomes in memory.
const PASSING_BYTES_MAX: usize = 256 << 10;

/// A command that changes the board, as it lies on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// Counts the commands; its place in the ring.
    number: u64,
    id: String,
    verb: String,
    /// Missing while it is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Refusal>,
}

impl Entry {
    fn outcome(&self) -> Outcome {
        match (&self.error, &self.result) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(result)) => Ok(result.clone()),
            (None, None) => Err(Refusal::new(
                Code::Internal,
                "the board stopped while it carried this out, and does not know how far it came; \
                 look how it is, and ask with another id",
            )),
        }
    }

    fn set(&mut self, outcome: &Outcome) {
        let short = |bytes: usize| bytes <= OUTCOME_BYTES_MAX;
        (self.result, self.error) = match outcome {
            Ok(result) if short(result.to_string().len()) => (Some(result.clone()), None),
            Ok(_) => (Some(Value::Object(serde_json::Map::new())), None),
            Err(error) => {
                let mut error = error.clone();
                if !short(error.message.len()) {
                    error.message = error.message.chars().take(OUTCOME_BYTES_MAX / 4).collect();
                }
                (None, Some(error))
            }
        };
    }
}

/// One of the board's past commands.
#[derive(Debug, PartialEq)]
pub(super) struct Past {
    /// What it was.
    pub(super) verb: String,
    /// What came of it.
    pub(super) outcome: Outcome,
}

/// What is remembered.
pub(super) struct Memory {
    storage: Arc<dyn Storage>,
    ring: HashMap<u64, Entry>,
    numbers: HashMap<String, u64>,
    next: u64,
    passing: VecDeque<(String, Past, usize)>,
    passing_bytes: usize,
    /// Said once: the next start does not know what came since.
    said_lost: bool,
}

fn file(of: u64) -> FileName {
    FileName::new(format!("commands-{of:02}")).expect("a plain name")
}

impl Memory {
    /// What `storage` holds. What of it cannot be read is forgotten, and said.
    pub(super) fn open(storage: Arc<dyn Storage>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for of in 0..FILES {
            let bytes = match storage.read(&file(of)) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(error) => {
                    log::error!("past commands: {error}");
                    continue;
                }
            };
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match serde_json::from_slice::<Entry>(line) {
                    Ok(entry)
                        if entry.number / EACH % FILES == of && entry.number < u64::MAX / 2 =>
                    {
                        entries.push(entry);
                    }
                    Ok(_) | Err(_) => {
                        log::error!("past commands: a line cannot be read; forgotten")
                    }
                }
            }
        }
        let next = entries.iter().map(|entry| entry.number.saturating_add(1)).max().unwrap_or(0);
        entries.retain(|entry| entry.number.saturating_add(REMEMBERED) >= next);
        Self {
            storage,
            numbers: entries.iter().map(|entry| (entry.id.clone(), entry.number)).collect(),
            ring: entries.into_iter().map(|entry| (entry.number % REMEMBERED, entry)).collect(),
            next,
            passing: VecDeque::new(),
            passing_bytes: 0,
            said_lost: false,
        }
    }

    /// What came of the command `id`, if it is remembered.
    pub(super) fn of(&self, id: &str) -> Option<Past> {
        if let Some(number) = self.numbers.get(id) {
            let entry = self.ring.get(&(number % REMEMBERED))?;
            return Some(Past { verb: entry.verb.clone(), outcome: entry.outcome() });
        }
        let (_, past, _) = self.passing.iter().find(|(known, ..)| known == id)?;
        Some(Past { verb: past.verb.clone(), outcome: past.outcome.clone() })
    }

    /// The command `id` is about to be carried out, and is not to be a second time, wherever the power goes.
    pub(super) fn begin(&mut self, id: &str, verb: Verb) {
        let number = self.enter(id, verb);
        self.keep(number);
    }

    /// Nothing was done about the command `id`: it may come again.
    pub(super) fn forget(&mut self, id: &str) {
        if let Some(number) = self.numbers.remove(id) {
            self.ring.remove(&(number % REMEMBERED));
            self.keep(number);
        }
    }

    /// The newest entry, in the place of the oldest.
    fn enter(&mut self, id: &str, verb: Verb) -> u64 {
        let (number, verb) = (self.next, verb.as_str().to_owned());
        self.next += 1;
        let entry = Entry { number, id: id.to_owned(), verb, result: None, error: None };
        if let Some(gone) = self.ring.insert(number % REMEMBERED, entry) {
            self.numbers.remove(&gone.id);
        }
        self.numbers.insert(id.to_owned(), number);
        number
    }

    /// This came of the command `id`.
    pub(super) fn end(&mut self, id: &str, verb: Verb, outcome: &Outcome) {
        if !verb.changes_state() {
            return self.pass(id, verb, outcome);
        }
        let known = self.numbers.get(id).copied();
        let number = known.unwrap_or_else(|| self.enter(id, verb));
        if let Some(entry) = self.ring.get_mut(&(number % REMEMBERED)) {
            entry.set(outcome);
        }
        self.keep(number);
    }

    fn pass(&mut self, id: &str, verb: Verb, outcome: &Outcome) {
        let bytes = match outcome {
            Ok(result) => result.to_string().len(),
            Err(error) => error.message.len(),
        } + id.len();
        // A large one is asked for again, and found again: it changes nothing.
        if bytes > PASSING_BYTES_MAX / 8 {
            return;
        }
        let past = Past { verb: verb.as_str().to_owned(), outcome: outcome.clone() };
        self.passing.push_back((id.to_owned(), past, bytes));
        self.passing_bytes += bytes;
        while self.passing_bytes > PASSING_BYTES_MAX || self.passing.len() as u64 > REMEMBERED {
            let Some((.., bytes)) = self.passing.pop_front() else { return };
            self.passing_bytes -= bytes;
        }
    }

    /// Writes the file that entry `number` lies in.
    fn keep(&mut self, number: u64) {
        let of = number / EACH % FILES;
        let places = of * EACH..(of + 1) * EACH;
        let mut bytes = Vec::new();
        for entry in places.filter_map(|place| self.ring.get(&place)) {
            let line = serde_json::to_vec(entry).expect("plain structs with string keys");
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        match self.storage.replace(&file(of), &bytes) {
            Ok(()) => self.said_lost = false,
            Err(error) if !self.said_lost => {
                self.said_lost = true;
                log::error!(
                    "{error}; a command that is sent again after a restart would be carried out again"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;
    use serde_json::json;

    fn good(text: &str) -> Outcome {
        Ok(json!({ "said": text }))
    }

    #[test]
    fn the_last_256_that_change_something_are_known_after_a_restart() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let mut memory = Memory::open(storage.clone());
        for n in 0..300 {
            memory.end(&format!("id-{n}"), Verb::Pause, &good(&n.to_string()));
        }
        for memory in [memory, Memory::open(storage)] {
            assert_eq!(memory.of("id-43"), None);
            for n in 44..300 {
                let past = memory.of(&format!("id-{n}")).unwrap();
                assert_eq!(past, Past { verb: "pause".into(), outcome: good(&n.to_string()) });
            }
            assert_eq!(memory.next, 300);
        }
    }

    #[test]
    fn what_was_interrupted_is_not_carried_out_again() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let mut memory = Memory::open(storage.clone());
        memory.begin("a", Verb::Rollback);
        let mut again = Memory::open(storage.clone());
        let past = again.of("a").unwrap();
        assert_eq!(past.outcome.unwrap_err().code, Code::Internal);
        again.begin("b", Verb::Rollback);
        again.forget("b");
        assert_eq!((again.of("b"), Memory::open(storage.clone()).of("b")), (None, None));
        again.end("a", Verb::Rollback, &good("done"));
        assert_eq!(Memory::open(storage).of("a").unwrap().outcome, good("done"));
    }

    #[test]
    fn what_changes_nothing_is_remembered_until_the_next_start_as_far_as_it_is_small() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let mut memory = Memory::open(storage.clone());
        memory.end("a", Verb::Health, &good("well"));
        memory.end("b", Verb::Infer, &good(&"x".repeat(PASSING_BYTES_MAX)));
        assert_eq!(memory.of("a").unwrap().outcome, good("well"));
        assert_eq!(memory.of("b"), None);
        assert_eq!(Memory::open(storage).of("a"), None);
        for n in 0..1000 {
            memory.end(&format!("c{n}"), Verb::Infer, &good(&"x".repeat(2000)));
        }
        assert!(memory.passing_bytes <= PASSING_BYTES_MAX && memory.passing.len() > 100);
    }

    #[test]
    fn an_entry_on_disk_has_a_bound_whatever_came_of_the_command() {
        let storage = Arc::new(MemoryStorage::default());
        let mut memory = Memory::open(storage.clone());
        for n in 0..EACH {
            let error = Refusal::new(Code::Internal, "é".repeat(5000));
            memory.end(&format!("{n}-{}", "i".repeat(120)), Verb::Update, &Err(error));
        }
        let bytes = storage.read(&file(0)).unwrap().unwrap();
        assert!(bytes.len() < 16 << 10, "{}", bytes.len());
        assert_eq!(Memory::open(storage).next, EACH);
    }

    #[test]
    fn damaged_files_are_forgotten_and_nothing_else() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let mut memory = Memory::open(storage.clone());
        for n in 0..20 {
            memory.end(&format!("{n}"), Verb::Pause, &good("x"));
        }
        storage.replace(&file(0), b"{\"number\":18446744073709551615}\n\xff\xff\n{}").unwrap();
        let again = Memory::open(storage);
        assert_eq!(again.of("3"), None);
        assert_eq!((again.of("17").is_some(), again.next), (true, 20));
    }
}
