//! `[device]`: who this board is.

use super::keys;
use super::machine::Machine;
use super::name::{DeviceId, GroupName};
use super::raw::{Bad, Section, parsed};

/// Who this board is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The second level of its topics.
    pub id: DeviceId,
    /// Fleet groups that it belongs to, each once.
    pub groups: Vec<GroupName>,
}

impl Device {
    pub(super) fn read(root: &Section<'_>, machine: &Machine) -> Option<Self> {
        let section = root.table("device", &keys::DEVICE);
        let Some(section) = section else {
            // A `device` that is no table was noted; a missing one is fine.
            return Some(Self { id: default_id(root, machine)?, groups: Vec::new() });
        };
        section.close();
        let id = match section.has("id") {
            true => section.get("id", parsed::<DeviceId>),
            false => default_id(root, machine),
        };
        let groups = section.get("groups", |value| {
            let items = value.as_array().ok_or(Bad::Type("a list of strings"))?;
            let mut groups: Vec<GroupName> = Vec::new();
            for item in items {
                let group = parsed(item.get_ref())?;
                if groups.contains(&group) {
                    return Err(Bad::Says(format!("names {:?} twice", group.as_str())));
                }
                groups.push(group);
            }
            Ok(groups)
        });
        Some(Self { id: id?, groups: groups.unwrap_or_default() })
    }
}

fn default_id(root: &Section<'_>, machine: &Machine) -> Option<DeviceId> {
    let id = machine.device_id();
    if id.is_none() {
        root.wrong(
            "device",
            "has no id, and this machine has no /etc/machine-id to make one from; \
             add id = \"bench-07\" to [device]",
        );
    }
    id
}
