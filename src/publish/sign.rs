//! Makes and signs the roles, each alone: so keys of the others may be elsewhere.

use std::collections::HashMap;
use std::num::NonZeroU64;

use aws_lc_rs::rand::SystemRandom;
use serde::Serialize;
use tough::editor::signed::SignedRole;
use tough::key_source::KeySource;
use tough::schema::{
    Hashes, KeyHolder, Metafile, Role as RoleTrait, RoleKeys, Root, Signed, Snapshot, Targets,
    Timestamp,
};

use super::signer::Signer;
use super::{PublishError, Role};
use crate::model::release::ISSUED_KEY;

pub(super) const SPEC: &str = "1.0.0";
const DAY_S: u64 = 24 * 60 * 60;

fn refused(role: impl ToString, why: impl ToString) -> PublishError {
    PublishError::Sign { role: role.to_string(), why: why.to_string() }
}

/// Versions begin with 1.
pub(super) fn version(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN)
}

/// `seconds` since 1970 as TUF has it.
pub(super) fn moment(seconds: u64) -> Result<jiff::Timestamp, PublishError> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .ok_or_else(|| PublishError::Value("that is after the year 9999".to_owned()))
}

/// `days` after `now`.
pub(super) fn expiry(now: u64, days: u32) -> Result<jiff::Timestamp, PublishError> {
    moment(now.saturating_add(u64::from(days) * DAY_S))
}

/// Signs `role` with those of `signers` that `under` has for it.
fn sign<R: RoleTrait + Serialize>(
    role: R,
    under: &Root,
    signers: &[Signer],
) -> Result<SignedRole<R>, PublishError> {
    let sources: Vec<Box<dyn KeySource>> =
        signers.iter().map(|signer| Box::new(signer.clone()) as _).collect();
    let holder = KeyHolder::Root(under.clone());
    let random = SystemRandom::new();
    // Signing waits for nothing; tough is async for keys that are fetched from elsewhere.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| refused(R::TYPE, error))?;
    let signing = SignedRole::new(role, &holder, &sources, &random);
    runtime.block_on(signing).map_err(|error| refused(R::TYPE, error))
}

/// Signs `role` and makes sure that a board would take it: a signer may print anything.
pub(super) fn sign_checked<R: RoleTrait + Serialize>(
    role: R,
    under: &Root,
    signers: &[Signer],
) -> Result<SignedRole<R>, PublishError> {
    let signed = sign(role, under, signers)?;
    under.verify_role(signed.signed()).map_err(|error| refused(R::TYPE, error))?;
    Ok(signed)
}

/// Signs `root` by `new` keys of its own and, where there was one before, by `old` keys of that.
pub(super) fn sign_root(
    root: &Root,
    new: &[Signer],
    before: Option<(&Root, &[Signer])>,
) -> Result<SignedRole<Root>, PublishError> {
    let mut signed = sign(root.clone(), root, new)?;
    if let Some((before, old)) = before {
        let by_old: Signed<Root> = sign(root.clone(), before, old)?.signed().clone();
        signed =
            signed.add_old_signatures(by_old.signatures).map_err(|error| refused("root", error))?;
        before.verify_role(signed.signed()).map_err(|error| refused("root", error))?;
    }
    root.verify_role(signed.signed()).map_err(|error| refused("root", error))?;
    Ok(signed)
}

/// A root without keys.
pub(super) fn empty_root(expires: jiff::Timestamp) -> Root {
    Root {
        spec_version: SPEC.to_owned(),
        consistent_snapshot: true,
        version: NonZeroU64::MIN,
        expires,
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    }
}

/// Gives `role` these keys and no others.
pub(super) fn set_keys(
    root: &mut Root,
    role: Role,
    signers: &[Signer],
    threshold: u32,
) -> Result<(), PublishError> {
    let mut keyids = Vec::new();
    for signer in signers {
        let key = signer.key();
        let id = key.key_id().map_err(|error| refused(role, error))?;
        keyids.push(id.clone());
        root.keys.insert(id, key);
    }
    let threshold = version(u64::from(threshold));
    root.roles.insert(role.tuf(), RoleKeys { keyids, threshold, _extra: HashMap::new() });
    let used: Vec<_> = root.roles.values().flat_map(|role| role.keyids.clone()).collect();
    root.keys.retain(|id, _| used.contains(id));
    Ok(())
}

fn metafile<R: RoleTrait + Serialize>(role: &SignedRole<R>) -> Metafile {
    let hashes = Hashes { sha256: role.sha256().to_vec().into(), _extra: HashMap::new() };
    Metafile {
        length: Some(*role.length()),
        hashes: Some(hashes),
        version: role.signed().signed.version(),
        _extra: HashMap::new(),
    }
}

/// Targets without any.
pub(super) fn empty_targets(expires: jiff::Timestamp) -> Targets {
    let mut targets = Targets::new(SPEC.to_owned(), NonZeroU64::MIN, expires);
    targets.delegations = None;
    targets
}

/// The snapshot of `targets`.
pub(super) fn snapshot_of(
    targets: &SignedRole<Targets>,
    number: u64,
    expires: jiff::Timestamp,
) -> Snapshot {
    let mut snapshot = Snapshot::new(SPEC.to_owned(), version(number), expires);
    snapshot.meta.insert("targets.json".to_owned(), metafile(targets));
    snapshot
}

/// What a timestamp says of `snapshot`.
pub(super) fn snapshot_meta(snapshot: &SignedRole<Snapshot>) -> Metafile {
    metafile(snapshot)
}

/// The timestamp over `snapshot`, with the moment at which it is issued.
pub(super) fn timestamp_of(
    snapshot: Metafile,
    number: u64,
    issued: u64,
    expires: jiff::Timestamp,
) -> Result<Timestamp, PublishError> {
    let mut timestamp = Timestamp::new(SPEC.to_owned(), version(number), expires);
    timestamp.meta.insert("snapshot.json".to_owned(), snapshot);
    let issued = moment(issued)?.to_string();
    timestamp._extra.insert(ISSUED_KEY.to_owned(), issued.into());
    Ok(timestamp)
}
