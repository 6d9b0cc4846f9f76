//! All that a board remembers of a repository: one small file, replaced as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tough::schema::{RoleType, Root, Signed};

use super::RootInfo;
use super::clock::Floors;
use crate::model::release::{fingerprint, hex};

/// The roles' files, as tough names them in its folder.
pub(super) const ROLES: [&str; 4] =
    ["root.json", "timestamp.json", "snapshot.json", "targets.json"];

/// As much as storage reads back; the limits of the four roles stay below it, however their text is
/// escaped.
const STATE_BYTES_MAX: usize = 1 << 20;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// SHA-256 of the shipped root that all this grew from.
    pub(super) anchor: String,
    /// File name → text, as tough verified it.
    pub(super) roles: BTreeMap<String, String>,
    pub(super) floors: Floors,
}

impl State {
    /// The file: a checksum, a line end, JSON. `None` where it would not be read back.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let body = serde_json::to_vec(self).ok()?;
        let mut bytes = hex(&Sha256::digest(&body)).into_bytes();
        bytes.push(b'\n');
        bytes.extend(body);
        (bytes.len() < STATE_BYTES_MAX).then_some(bytes)
    }

    /// `None` when the file is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (sum, body) = (bytes.get(..64)?, bytes.get(65..)?);
        if hex(&Sha256::digest(body)).as_bytes() != sum {
            return None;
        }
        serde_json::from_slice(body).ok()
    }

    pub(super) fn root(&self) -> Option<Signed<Root>> {
        serde_json::from_str(self.roles.get("root.json")?).ok()
    }

    /// Whether `other` knows anything that this does not: tough writes its files anew at each load,
    /// with their keys in another order, so bytes say nothing.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let versions = |state: &Self| ROLES.map(|role| state.roles.get(role).map(|t| version(t)));
        self.anchor != other.anchor
            || self.floors != other.floors
            || versions(self) != versions(other)
    }

    /// When the timestamp that is kept was signed, by its own word, in seconds since 1970.
    pub(super) fn issued(&self, key: &str) -> Option<u64> {
        let text = self.roles.get("timestamp.json")?;
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        let issued: jiff::Timestamp = json["signed"][key].as_str()?.parse().ok()?;
        u64::try_from(issued.as_second()).ok()
    }
}

/// The version of a role's text; 0 where it is none.
pub(super) fn version(text: &str) -> u64 {
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    json.and_then(|json| json["signed"]["version"].as_u64()).unwrap_or(0)
}

/// What people want to know of a root.
pub(super) fn describe(root: &Root) -> RootInfo {
    let roles = root.roles.get(&RoleType::Root);
    let ids = roles.into_iter().flat_map(|role| role.keyids.iter().map(|id| hex(id)));
    let threshold = roles.map_or(0, |role| role.threshold.get());
    let expires = u64::try_from(root.expires.as_second()).unwrap_or(0);
    RootInfo { version: root.version.get(), fingerprint: fingerprint(threshold, ids), expires }
}

/// The ids of the keys that sign `role`, in order.
pub(super) fn key_ids(root: &Root, role: RoleType) -> Vec<String> {
    let ids = root.roles.get(&role).map(|role| role.keyids.as_slice()).unwrap_or_default();
    ids.iter().map(|id| hex(id)).collect()
}

/// Whether one of the two roots speaks for the other: then both are of one repository.
pub(super) fn related(a: &Signed<Root>, b: &Signed<Root>) -> bool {
    a.signed.verify_role(b).is_ok() || b.signed.verify_role(a).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_state_is_noticed_wherever_the_damage_is() {
        let roles = BTreeMap::from([("root.json".to_owned(), "{}".to_owned())]);
        let state = State { anchor: "a".into(), roles, floors: Floors { hard: 1, soft: 2 } };
        let bytes = state.encode().expect("small");
        assert_eq!(State::decode(&bytes).as_ref(), Some(&state));
        for at in 0..bytes.len() {
            assert_eq!(State::decode(&bytes[..at]), None, "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let found = State::decode(&damaged);
            assert!(found.is_none() || found.as_ref() == Some(&state), "flipped at {at}");
        }
    }

    #[test]
    fn a_state_that_storage_would_cut_short_is_not_written() {
        let roles = BTreeMap::from([("root.json".to_owned(), "\"".repeat(STATE_BYTES_MAX / 2))]);
        assert_eq!(State { roles, ..State::default() }.encode(), None);
    }
}
