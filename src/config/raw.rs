//! The file as typed: a reader over TOML's spanned tree that notes every problem and reads on.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, TABLES, Table};
use super::suggest;
use super::value::Bad;

/// What was found so far, wrong or worth a warning.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) wrong: RefCell<Vec<Note>>,
    pub(super) warnings: RefCell<Vec<Note>>,
}

/// A problem at a byte of the file.
pub(super) struct Note {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) message: String,
}

/// One table of the file, with its place and the keys it may have.
#[derive(Clone)]
pub(super) struct Section<'a> {
    entries: &'a DeTable<'a>,
    at: usize,
    path: String,
    tables: Vec<&'static Table>,
    notes: &'a Notes,
}

impl<'a> Section<'a> {
    pub(super) fn root(entries: &'a DeTable<'a>, table: &'static Table, notes: &'a Notes) -> Self {
        Self { entries, at: 0, path: String::new(), tables: vec![table], notes }
    }

    /// The same section with the keys that another key's value brings with it.
    pub(super) fn with(&self, table: &'static Table) -> Self {
        let mut section = self.clone();
        section.tables.push(table);
        section
    }

    /// The string at `key`, right or wrong; nothing is noted.
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.entries.get(key)?.get_ref().as_str()
    }

    /// The `name` of every table `[[list]]`, right or wrong; nothing is noted.
    pub(super) fn names_in(&self, list: &str) -> Vec<&'a str> {
        let items = self.entries.get(list).and_then(|node| node.get_ref().as_array());
        let name = |node: &'a Spanned<DeValue<'a>>| node.get_ref().get("name")?.get_ref().as_str();
        items.into_iter().flatten().filter_map(name).collect()
    }

    /// As in `sensor[0]`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether `key` is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether `key` is a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|node| matches!(node.get_ref(), DeValue::Table(_)))
    }

    /// Notes that `key` is wrong: at its value, or at the table where it is not given.
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>) {
        self.notes.wrong.borrow_mut().push(self.note(key, message.into()));
    }

    /// Notes something about `key` that does not keep the configuration from being used.
    pub(super) fn warn(&self, key: &str, message: impl Into<String>) {
        self.notes.warnings.borrow_mut().push(self.note(key, message.into()));
    }

    fn note(&self, key: &str, message: String) -> Note {
        let at = self.entries.get(key).map_or(self.at, |node| node.span().start);
        Note { at, key: self.path_of(key), message }
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn key(&self, name: &str) -> &'static Key {
        self.tables
            .iter()
            .flat_map(|t| t.keys)
            .find(|k| k.name == name)
            .expect("every key that is read stands in keys.rs, which the test of all keys holds")
    }

    /// The value of `name`; `None` where it is absent or wrong, and then that is noted.
    pub(super) fn get<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, Bad>,
    ) -> Option<T> {
        let Key { example, .. } = self.key(name);
        let value = self.entries.get(name)?.get_ref();
        match read(value) {
            Ok(value) => Some(value),
            Err(Bad::Says(message)) => {
                self.wrong(name, message);
                None
            }
            Err(Bad::Type(wanted)) => {
                let found = article(value);
                self.wrong(
                    name,
                    format!("must be {wanted}, not {found}; write it as in {name} = {example}"),
                );
                None
            }
        }
    }

    /// Like [`Section::get`], but notes that it is missing, too.
    pub(super) fn require<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, Bad>,
    ) -> Option<T> {
        if !self.has(name) {
            self.missing(name);
        }
        self.get(name, read)
    }

    /// Notes that `name` is missing.
    pub(super) fn missing(&self, name: &str) {
        let Key { example, .. } = self.key(name);
        self.wrong(name, format!("is missing; add it as in {name} = {example}"));
    }

    /// The table `name`, read by its own keys.
    pub(super) fn table(&self, name: &str, table: &'static Table) -> Option<Section<'a>> {
        let node = self.entries.get(name)?;
        match node.get_ref() {
            DeValue::Table(entries) => Some(Section {
                entries,
                at: node.span().start,
                path: self.path_of(name),
                tables: vec![table],
                notes: self.notes,
            }),
            DeValue::Array(_) if table.header.starts_with('[') => {
                let header = table.header;
                self.wrong(name, format!("is there once only: write {header}, not [{header}]"));
                None
            }
            other => {
                self.wrong(name, format!("must be a table, not {}", article(other)));
                None
            }
        }
    }

    /// The tables `[[name]]`, in the order of the file.
    pub(super) fn tables(&self, name: &str, table: &'static Table) -> Vec<Section<'a>> {
        let Some(node) = self.entries.get(name) else { return Vec::new() };
        let section = |n: usize, node: &'a Spanned<DeValue<'a>>| {
            let path = format!("{}[{n}]", self.path_of(name));
            match node.get_ref() {
                DeValue::Table(entries) => Some(Section {
                    entries,
                    at: node.span().start,
                    path,
                    tables: vec![table],
                    notes: self.notes,
                }),
                other => {
                    let message = format!("must be a table, not {}", article(other));
                    let note = Note { at: node.span().start, key: path, message };
                    self.notes.wrong.borrow_mut().push(note);
                    None
                }
            }
        };
        match node.get_ref() {
            DeValue::Array(items) => {
                items.iter().enumerate().filter_map(|(n, node)| section(n, node)).collect()
            }
            other => {
                let what = article(other);
                let message = format!("must be a list of tables, not {what}; write [[{name}]]");
                self.wrong(name, message);
                Vec::new()
            }
        }
    }

    /// Notes every key that is not known. To be called once all keys that there can be are known.
    pub(super) fn close(&self) {
        for (key, _) in self.entries {
            let name: &str = key.get_ref();
            if self.tables.iter().flat_map(|t| t.keys).any(|k| k.name == name) {
                continue;
            }
            let note =
                Note { at: key.span().start, key: self.path_of(name), message: self.unknown(name) };
            self.notes.wrong.borrow_mut().push(note);
        }
    }

    /// What to say of a key that is not known here.
    fn unknown(&self, name: &str) -> String {
        if let Some(later) = self.tables.iter().flat_map(|t| t.later).find(|l| l.name == name) {
            return format!("{} is not in this version; remove it", later.about);
        }
        let known: Vec<&str> = self.tables.iter().flat_map(|t| t.keys).map(|k| k.name).collect();
        if let Some(near) = suggest::nearest(name, known.iter().copied()) {
            return format!("unknown key; did you mean {near:?}?");
        }
        let elsewhere = TABLES.iter().find(|t| t.keys.iter().any(|k| k.name == name));
        match elsewhere {
            Some(table) => format!("unknown key here; it is one of {}", table.header),
            None => format!("unknown key; there are: {}", known.join(", ")),
        }
    }
}

/// `an integer`.
fn article(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(_) | DeValue::Array(_) => format!("an {}", value.type_str()),
        _ => format!("a {}", value.type_str()),
    }
}
