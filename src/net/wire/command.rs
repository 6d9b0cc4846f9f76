//! `cmd/VERB`: what is asked of a device, and its answers. Requests come from outside: everything in them is
//! doubted.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest request that is looked at.
pub const COMMAND_BYTES_MAX: usize = 32 << 10;
/// Objects and lists within each other.
const DEPTH_MAX: usize = 16;
/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 128;
/// The longest that a group's command may be spread over.
const JITTER_S_MAX: f64 = 3600.0;

/// What a verb is given.
pub type Args = Map<String, Value>;

/// What is asked, apart from the verb, which stands in the topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Names this request; said again it is answered again and not carried out again. A request without one is
    /// carried out each time.
    pub id: Option<String>,
    /// Not to be carried out later than this, since 1970-01-01T00:00:00Z.
    pub expires: Option<Duration>,
    /// To a group: each board waits for a random part of this.
    pub jitter: Duration,
    /// What the verb is given.
    pub args: Args,
}

/// Why a command is not carried out, or failed; a closed list. Once published, a name never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// It cannot be read, or its arguments make no sense.
    BadRequest,
    /// This version knows no such verb.
    UnknownVerb,
    /// The board's configuration does not allow it.
    NotAllowed,
    /// Its time is over, or cannot be told for want of a clock.
    Expired,
    /// Too much at once, or something else must end first.
    Busy,
    /// Request or answer are larger than can be carried.
    TooLarge,
    /// The disk has no room.
    NoSpace,
    /// The memory has no room.
    NoMemory,
    /// The repository of updates does not answer as it should.
    FetchFailed,
    /// An update that is not signed by whom it must be.
    BadSignature,
    /// What the repository says is too old to be believed.
    ExpiredMetadata,
    /// The repository says less than it has said before.
    RolledBackMetadata,
    /// Not for this board, or an older version that nobody meant.
    Incompatible,
    /// The bundle's own answers are not met.
    SelfTestFailed,
    /// It differs too much from what runs.
    ShadowDisagreed,
    /// It failed at work.
    TrialFailed,
    /// There is no such pipeline, model or version.
    NotFound,
    /// This board's own fault.
    Internal,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind, for programs.
    pub code: Code,
    /// What happened and what to do, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal of kind `code`.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// What came of a command.
pub type Outcome = Result<Value, Refusal>;

/// A payload that is no request; the `id` stands in the answer, where it could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct NotRequest {
    /// Which request it would be.
    pub id: Option<String>,
    /// What is wrong with it.
    pub why: Refusal,
}

impl Request {
    /// Reads a payload: a JSON object, each of whose keys may be left out. Keys that are not known are ignored.
    ///
    /// # Errors
    /// When it is longer than [`COMMAND_BYTES_MAX`], nested too deep, or anything else.
    pub fn parse(payload: &[u8]) -> Result<Self, NotRequest> {
        let no = |code, message: String| NotRequest { id: None, why: Refusal { code, message } };
        let bytes = payload.len();
        if bytes > COMMAND_BYTES_MAX {
            let most = COMMAND_BYTES_MAX;
            return Err(no(Code::TooLarge, format!("{bytes} bytes; at most {most} are read")));
        }
        if depth(payload) > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX}");
            return Err(no(Code::BadRequest, message));
        }
        let bad = |why: String| no(Code::BadRequest, format!("{why}; {EXAMPLE}"));
        let value: Value = serde_json::from_slice(payload).map_err(|e| bad(e.to_string()))?;
        let Value::Object(mut object) = value else { return Err(bad("no JSON object".into())) };
        let mut request = Self::default();
        match object.remove("id") {
            None | Some(Value::Null) => {}
            Some(Value::String(id)) if is_id(&id) => request.id = Some(id),
            Some(_) => {
                let what = format!("id must be a string of 1 to {ID_BYTES_MAX} printable bytes");
                return Err(bad(what));
            }
        }
        let bad = |why: &str| NotRequest {
            id: request.id.clone(),
            why: Refusal::new(Code::BadRequest, format_args!("{why}; {EXAMPLE}")),
        };
        match object.remove("expires") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                let moment = moment(&text);
                request.expires = Some(moment.ok_or_else(|| bad("expires is no RFC 3339 time"))?);
            }
            Some(_) => return Err(bad("expires must be a string")),
        }
        match object.remove("jitter_s") {
            None | Some(Value::Null) => {}
            Some(value) => {
                let seconds = value.as_f64().filter(|s| (0.0..=JITTER_S_MAX).contains(s));
                let seconds = seconds.ok_or_else(|| bad("jitter_s must be a number, 0 to 3600"))?;
                request.jitter = Duration::from_secs_f64(seconds);
            }
        }
        match object.remove("args") {
            None | Some(Value::Null) => {}
            Some(Value::Object(args)) => request.args = args,
            Some(_) => return Err(bad("args must be an object")),
        }
        Ok(request)
    }

    /// The payload that asks for this. A moment to expire is not written: whoever asks over MQTT 5 has the broker
    /// count, which needs no clock.
    pub fn encode(&self) -> Vec<u8> {
        let mut object = Map::new();
        if let Some(id) = &self.id {
            object.insert("id".to_owned(), id.as_str().into());
        }
        if !self.jitter.is_zero() {
            object.insert("jitter_s".to_owned(), self.jitter.as_secs_f64().into());
        }
        object.insert("args".to_owned(), Value::Object(self.args.clone()));
        Value::Object(object).to_string().into_bytes()
    }
}

const EXAMPLE: &str = r#"a request is {"id":"…","expires":"2026-11-23T09:41:07Z","args":{…}}"#;

/// Whether `text` may name a request.
fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// How deep lists and objects lie within each other at most; never less than it is.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// RFC 3339, with `Z` or a difference from UTC.
fn moment(text: &str) -> Option<Duration> {
    let parse = |text: &str| humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok();
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    if text.ends_with('Z') {
        return parse(text);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let local = parse(&format!("{local}Z"))?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let number = |text: &str, most: u64| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u64>().ok().filter(|n| digits && *n <= most)
    };
    let offset = Duration::from_secs(number(hours, 23)? * 3600 + number(minutes, 59)? * 60);
    match sign {
        "+" => local.checked_sub(offset),
        "-" => local.checked_add(offset),
        _ => None,
    }
}

/// The payload that answers a request; `device` says who answers where a group was asked.
#[derive(Serialize)]
struct Answer<'a> {
    id: Option<&'a str>,
    device: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Refusal>,
}

/// The payload that answers the request `id` on `device`.
pub fn answer(id: Option<&str>, device: &str, outcome: &Outcome) -> Vec<u8> {
    let (result, error) = (outcome.as_ref().ok(), outcome.as_ref().err());
    let answer = Answer { id, device, ok: outcome.is_ok(), result, error };
    serde_json::to_vec(&answer).expect("plain structs with string keys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parsed(payload: &str) -> Request {
        Request::parse(payload.as_bytes()).unwrap()
    }

    fn refused(payload: &[u8]) -> (Option<String>, Refusal) {
        let NotRequest { id, why } = Request::parse(payload).unwrap_err();
        (id, why)
    }

    #[test]
    fn all_keys_may_be_left_out_and_others_are_ignored() {
        assert_eq!(parsed("{}"), Request::default());
        let nulls = r#"{"id":null,"expires":null,"jitter_s":null,"args":null,"by":{"who":[1]}}"#;
        assert_eq!(parsed(nulls), Request::default());
        let whole = parsed(
            r#"{"id":"a/+/#","expires":"1970-01-02T00:00:00.5Z","jitter_s":1.5,"args":{"a":[1]}}"#,
        );
        assert_eq!(whole.id.as_deref(), Some("a/+/#"), "an id is only ever said again");
        assert_eq!(whole.expires, Some(Duration::from_millis(86_400_500)));
        assert_eq!(whole.jitter, Duration::from_millis(1500));
        assert_eq!(whole.args["a"], json!([1]));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut request = parsed(r#"{"id":"7","jitter_s":2,"args":{"pipeline":"a"}}"#);
        assert_eq!(Request::parse(&request.encode()).unwrap(), request);
        request.id = None;
        request.jitter = Duration::ZERO;
        assert_eq!(request.encode(), br#"{"args":{"pipeline":"a"}}"#);
    }

    #[test]
    fn what_is_no_request_says_why_and_which_it_would_be() {
        for (payload, why) in [
            ("", "EOF"),
            ("[]", "no JSON object"),
            ("null", "no JSON object"),
            ("{\"id\":\"a\"", "EOF"),
            (r#"{"id":7}"#, "id must be a string"),
            (r#"{"id":""}"#, "id must be a string"),
            (r#"{"id":"a\n"}"#, "id must be a string"),
            (r#"{"id":"a"} {}"#, "trailing characters"),
        ] {
            let (id, error) = refused(payload.as_bytes());
            assert_eq!((id, error.code), (None, Code::BadRequest), "{payload}");
            assert!(error.message.contains(why) && error.message.ends_with(EXAMPLE), "{error}");
        }
        for (rest, why) in [
            (r#""expires":17"#, "expires must be"),
            (r#""expires":"tomorrow""#, "expires is no RFC 3339"),
            (r#""expires":"2026-11-23""#, "expires is no RFC 3339"),
            (r#""jitter_s":-1"#, "jitter_s"),
            (r#""jitter_s":1e9"#, "jitter_s"),
            (r#""jitter_s":"1""#, "jitter_s"),
            (r#""args":[1]"#, "args must be an object"),
        ] {
            let (id, error) = refused(format!("{{\"id\":\"a\",{rest}}}").as_bytes());
            assert_eq!((id.as_deref(), error.code), (Some("a"), Code::BadRequest), "{rest}");
            assert!(error.message.contains(why), "{error}");
        }
        assert_eq!(refused(b"{\"id\":\"\xff\"}").1.code, Code::BadRequest, "no UTF-8");
    }

    #[test]
    fn long_and_deep_payloads_are_refused_before_they_are_read() {
        let long = [b' '; COMMAND_BYTES_MAX + 1];
        assert_eq!(refused(&long).1.code, Code::TooLarge);
        let nested =
            |n: usize| format!("{{\"args\":{{\"x\":{}{}}}}}", "[".repeat(n), "]".repeat(n));
        assert!(Request::parse(nested(14).as_bytes()).is_ok());
        assert!(refused(nested(15).as_bytes()).1.message.contains("deeper than 16"));
        assert!(refused("[".repeat(30_000).as_bytes()).1.message.contains("deeper"));
        let text = format!("{{\"args\":{{\"x\":\"{}\"}}}}", "[{\\\"".repeat(1000));
        assert!(Request::parse(text.as_bytes()).is_ok(), "brackets in text are text");
    }

    #[test]
    fn moments_are_rfc_3339_with_any_difference_from_utc() {
        let utc = moment("2026-11-23T09:41:07Z").unwrap();
        assert_eq!(moment("2026-11-23T10:41:07+01:00"), Some(utc));
        assert_eq!(moment("2026-11-23T04:11:07.000-05:30"), Some(utc));
        for wrong in
            ["2026-11-23T10:41:07", "2026-11-23T10:41:07+1:00", "1969-12-31T23:00:00Z", "é", "Z"]
        {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_says_whose_it_is_and_a_result_or_an_error() {
        let good = answer(Some("7"), "bench-07", &Ok(json!({"a": 1})));
        assert_eq!(good, br#"{"id":"7","device":"bench-07","ok":true,"result":{"a":1}}"#);
        let bad = answer(None, "bench-07", &Err(Refusal::new(Code::NotAllowed, "no")));
        let text = String::from_utf8(bad).unwrap();
        assert_eq!(
            text,
            r#"{"id":null,"device":"bench-07","ok":false,"error":{"code":"not_allowed","message":"no"}}"#
        );
    }

    proptest! {
        #[test]
        fn nothing_panics_and_complaints_are_short(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Err(not) = Request::parse(&payload) {
                prop_assert!(not.why.message.len() < 600);
            }
        }

        #[test]
        fn neither_does_what_is_nearly_right(
            id in "\\PC{0,12}", expires in "[-0-9TZ:+.]{0,30}", rest in "[\\[\\]{}:,\" a-z0-9]{0,60}",
            cut in 0usize..140,
        ) {
            let mut payload =
                format!("{{\"id\":\"{id}\",\"expires\":\"{expires}\",\"args\":{{{rest}}}}}").into_bytes();
            payload.truncate(cut);
            if let Ok(request) = Request::parse(&payload) {
                prop_assert_eq!(Request::parse(&request.encode()).unwrap().id, request.id);
            }
        }
    }
}
