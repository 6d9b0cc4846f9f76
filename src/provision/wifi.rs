//! Wi-Fi as NetworkManager or wpa_supplicant read it.

use crate::data::Secret;

/// One network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wifi {
    /// 1 to 32 bytes.
    pub ssid: String,
    /// 8 to 63 printable ASCII characters, or 64 hex digits; `None` for an open network.
    pub passphrase: Option<Secret>,
    /// ISO 3166, two capital letters.
    pub country: Option<String>,
}

impl Wifi {
    /// Checks what IEEE 802.11 says of them.
    ///
    /// # Errors
    /// Names the key that is wrong and what it must be; the passphrase itself is never repeated.
    pub fn new(
        ssid: &str,
        passphrase: Option<&str>,
        country: Option<&str>,
    ) -> Result<Self, (&'static str, String)> {
        if !(1..=32).contains(&ssid.len()) || ssid.contains(['\0', '\n', '\r']) {
            return Err(("ssid", "must have 1 to 32 bytes, on one line".into()));
        }
        let good = |text: &&str| {
            let phrase =
                (8..=63).contains(&text.len()) && text.bytes().all(|b| (32..=126).contains(&b));
            phrase || is_key(text)
        };
        if passphrase.is_some_and(|text| !good(&text)) {
            let must = "must have 8 to 63 printable ASCII characters, or be 64 hex digits";
            return Err(("passphrase", must.into()));
        }
        let capital = |text: &&str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
        if country.is_some_and(|text| !capital(&text)) {
            return Err(("country", "must be two capital letters, as in \"DE\"".into()));
        }
        let passphrase = passphrase.map(Secret::new);
        Ok(Self { ssid: ssid.to_owned(), passphrase, country: country.map(str::to_owned) })
    }

    /// A keyfile of NetworkManager: nm-settings-keyfile(5).
    pub fn network_manager(&self) -> String {
        // A list of bytes needs no escapes, whatever the name holds.
        let ssid: String = self.ssid.bytes().map(|byte| format!("{byte};")).collect();
        let security = match &self.passphrase {
            // Escapes of GKeyFile: a backslash, and blanks at the start.
            Some(secret) => {
                let text = secret.expose().replace('\\', "\\\\");
                let rest = text.trim_start_matches(' ');
                let blanks = "\\s".repeat(text.len() - rest.len());
                format!("\n[wifi-security]\nkey-mgmt=wpa-psk\npsk={blanks}{rest}\n")
            }
            None => String::new(),
        };
        format!(
            "# Made by `edgerun provision`.\n[connection]\nid=edgerun-wifi\ntype=wifi\n\n\
             [wifi]\nmode=infrastructure\nssid={ssid}\n{security}\n\
             [ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
        )
    }

    /// A configuration of wpa_supplicant: wpa_supplicant.conf(5).
    pub fn wpa_supplicant(&self) -> String {
        let ssid: String = self.ssid.bytes().map(|byte| format!("{byte:02x}")).collect();
        let country = self.country.as_ref().map(|c| format!("country={c}\n")).unwrap_or_default();
        let key = match &self.passphrase {
            None => "\tkey_mgmt=NONE\n".to_owned(),
            Some(secret) if is_key(secret.expose()) => format!("\tpsk={}\n", secret.expose()),
            // Between quotes everything stands for itself, up to the last quote of the line.
            Some(secret) => format!("\tpsk=\"{}\"\n", secret.expose()),
        };
        format!(
            "# Made by `edgerun provision`.\nctrl_interface=DIR=/run/wpa_supplicant\n{country}\
             network={{\n\tssid={ssid}\n{key}}}\n"
        )
    }

    /// Options of the kernel's regulatory domain: modprobe.d(5).
    pub fn regulatory(&self) -> Option<String> {
        let country = self.country.as_ref()?;
        Some(format!(
            "# Made by `edgerun provision`.\noptions cfg80211 ieee80211_regdom={country}\n"
        ))
    }
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_for_both_programs() {
        let wifi = Wifi::new("Käse", Some(" a\\b\"c d;#e"), Some("DE")).unwrap();
        assert_eq!(
            wifi.network_manager(),
            "# Made by `edgerun provision`.\n[connection]\nid=edgerun-wifi\ntype=wifi\n\n[wifi]\n\
             mode=infrastructure\nssid=75;195;164;115;101;\n\n[wifi-security]\nkey-mgmt=wpa-psk\n\
             psk=\\sa\\\\b\"c d;#e\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
        );
        assert_eq!(
            wifi.wpa_supplicant(),
            "# Made by `edgerun provision`.\nctrl_interface=DIR=/run/wpa_supplicant\ncountry=DE\n\
             network={\n\tssid=4bc3a47365\n\tpsk=\" a\\b\"c d;#e\"\n}\n"
        );
        let open = Wifi::new("x", None, None).unwrap();
        assert!(open.wpa_supplicant().contains("key_mgmt=NONE"));
        assert!(!open.network_manager().contains("security") && open.regulatory().is_none());
        let key = "0123456789abcdef".repeat(4);
        let raw = Wifi::new("x", Some(&key), None).unwrap();
        assert!(raw.wpa_supplicant().contains(&format!("\tpsk={key}\n")));
    }

    #[test]
    fn what_no_network_can_be_is_refused_by_key_and_secrets_are_not_shown() {
        let key =
            |ssid: &str, pass: Option<&str>, country| Wifi::new(ssid, pass, country).unwrap_err();
        assert_eq!(key("", None, None).0, "ssid");
        assert_eq!(key(&"x".repeat(33), None, None).0, "ssid");
        assert_eq!(key("a\nb", None, None).0, "ssid");
        let (at, said) = key("a", Some("hunter2"), None);
        assert!(at == "passphrase" && !said.contains("hunter2"));
        assert_eq!(key("a", Some("line\nbreak--"), None).0, "passphrase");
        assert_eq!(key("a", None, Some("de")).0, "country");
    }
}
