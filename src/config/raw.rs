//! The file as typed: a reader over TOML's spanned tree that notes every problem and reads on.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, TABLES, Table};
use super::name::CredentialName;
use super::quantity::Quantity;
use super::suggest;

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

/// Why a value is refused.
pub(super) enum Bad {
    /// Of another type; holds the right one with its article: `a string`.
    Type(&'static str),
    /// Anything else, as a whole sentence.
    Says(String),
}

impl<E: std::error::Error> From<E> for Bad {
    fn from(error: E) -> Self {
        Self::Says(error.to_string())
    }
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

/// Any string.
pub(super) fn text<'a>(value: &'a DeValue<'a>) -> Result<&'a str, Bad> {
    value.as_str().ok_or(Bad::Type("a string"))
}

/// A string that `T` can be parsed from.
pub(super) fn parsed<'a, T>(value: &'a DeValue<'a>) -> Result<T, Bad>
where
    T: std::str::FromStr<Err: std::error::Error>,
{
    Ok(text(value)?.parse()?)
}

/// A string with a number and a unit; a bare number is told its unit.
pub(super) fn quantity<'a, Q: Quantity>(value: &'a DeValue<'a>) -> Result<Q, Bad> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => {
            let (number, unit) = (number.as_str(), Q::UNIT);
            Err(Bad::Says(format!("{number} has no unit; write it as \"{number} {unit}\"")))
        }
        _ => parsed(value),
    }
}

/// A whole number within `range`.
pub(super) fn whole<'a>(
    range: RangeInclusive<u32>,
) -> impl FnOnce(&'a DeValue<'a>) -> Result<u32, Bad> {
    move |value| {
        let number = value.as_integer().ok_or(Bad::Type("a whole number"))?;
        u32::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| {
                let (low, high) = (range.start(), range.end());
                let join = if high - low == 1 { "or" } else { "to" };
                Bad::Says(format!("must be {low} {join} {high}, is {number}"))
            })
    }
}

/// A finite number, whole or not.
pub(super) fn number<'a>(value: &'a DeValue<'a>) -> Result<f32, Bad> {
    let number = match value {
        DeValue::Float(number) => number.as_str().parse::<f32>().ok(),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f32)
        }
        _ => return Err(Bad::Type("a number")),
    };
    number.filter(|n| n.is_finite()).ok_or_else(|| Bad::Says("must be a finite number".into()))
}

/// `true` or `false`.
pub(super) fn boolean<'a>(value: &'a DeValue<'a>) -> Result<bool, Bad> {
    value.as_bool().ok_or(Bad::Type("true or false"))
}

/// One of `choices` by its word.
pub(super) fn one_of<'a, T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl FnOnce(&'a DeValue<'a>) -> Result<T, Bad> {
    move |value| {
        let word = text(value)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
            return Ok(*choice);
        }
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        let near = match suggest::nearest(word, choices.iter().map(|(name, _)| *name)) {
            Some(near) => format!("; did you mean {near:?}?"),
            None => String::new(),
        };
        Err(Bad::Says(format!("{word:?} is not one of {}{near}", names.join(", "))))
    }
}

/// A path, relative to the folder of the configuration.
pub(super) fn path<'a>(base: &Path) -> impl FnOnce(&'a DeValue<'a>) -> Result<PathBuf, Bad> {
    move |value| {
        let text = text(value)?;
        let why = if text.trim().is_empty() {
            "must not be empty"
        } else if text.starts_with('~') {
            "`~` means nothing here; write the whole path"
        } else if text.contains('\0') {
            "a path cannot hold a NUL"
        } else {
            return Ok(base.join(text));
        };
        Err(Bad::Says(why.into()))
    }
}

/// `credential:NAME`. What else was written is never repeated: it may be the secret.
pub(super) fn credential<'a>(
    example: &'static str,
) -> impl FnOnce(&'a DeValue<'a>) -> Result<CredentialName, Bad> {
    move |value| {
        let Some(name) = value.as_str().and_then(|text| text.strip_prefix("credential:")) else {
            return Err(Bad::Says(format!(
                "a secret must not stand in the configuration; put it into a file \
                 /etc/edgerun/credentials/{example} that only edgerun's user can read, and write \
                 \"credential:{example}\""
            )));
        };
        name.parse().map_err(|_| {
            Bad::Says(format!(
                "the name of a credential is 1 to 64 letters, digits, `_` or `-`, as in \
                 \"credential:{example}\""
            ))
        })
    }
}
