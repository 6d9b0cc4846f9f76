//! `POST /predict` answers as a plain Flask model service does, and refuses clearly.

use serde_json::{Value, json};

use crate::support::daemon::{Board, Daemon, http, root};

/// A server without sensors and broker: every shipped model behind one address.
fn serve(models: &[&str], more: &str) -> (Board, Daemon, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pipelines: String = models
        .iter()
        .map(|name| format!("[[pipeline]]\nname = \"{name}\"\nmodel = \"{{models}}/{name}\"\n"))
        .collect();
    let listen = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{more}\n");
    let board = Board::new(&format!("[device]\nid = \"server\"\n{pipelines}{listen}"));
    std::fs::write(board.path("http-token"), "open sesame").unwrap();
    let folder = board.dir.path().display().to_string();
    // It listens when it says that it is ready.
    let daemon = board.run_until_ready(&[("CREDENTIALS_DIRECTORY", &folder)]);
    (board, daemon, port)
}

fn predict(port: u16, query: &str, body: &str) -> (u16, Value) {
    let (status, body) = http(port, "POST", &format!("/predict{query}"), "", body);
    (status, serde_json::from_str(&body).unwrap())
}

fn rows(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("examples/rows/{name}.json"))).unwrap()
}

#[test]
fn rows_go_through_the_recipe_and_come_back_as_labels_or_numbers() {
    let (_board, _daemon, port) = serve(&["gestures"], "");
    assert_eq!(
        predict(port, "", &rows("gestures")),
        (200, json!({"prediction": ["running", "walking"]}))
    );
    let (status, body) = http(port, "GET", "/healthz", "", "");
    // Degraded where the machine's clock is not synchronised, or its disk is nearly full.
    let known = [r#"{"status":"ok"}"#, r#"{"status":"degraded"}"#];
    assert!(status == 200 && known.contains(&body.as_str()), "{status} {body}");
}

#[cfg(feature = "tract")]
#[test]
fn several_models_are_told_apart_by_name() {
    let models = ["diabetes-linear", "cancer-logistic", "wine-tree"];
    let (_board, _daemon, port) = serve(&models, "");
    let (status, answer) = predict(port, "", "[]");
    let names = models.join(", ");
    assert_eq!(status, 400);
    assert_eq!(
        answer["error"],
        format!("several pipelines run; add ?pipeline=NAME, one of: {names}")
    );
    let (status, answer) = predict(port, "?pipeline=nobody", "[]");
    assert_eq!((status, answer["error"].as_str().unwrap().contains(&names)), (400, true));
    for name in models {
        let (status, answer) = predict(port, &format!("?pipeline={name}"), &rows(name));
        assert_eq!((status, answer["prediction"].as_array().unwrap().len()), (200, 3), "{answer}");
    }
}

#[test]
fn a_wrong_body_is_refused_and_says_what_is_wanted() {
    let (_board, _daemon, port) = serve(&["gestures"], "");
    let wanted = "send a JSON array of instances, each 40 rows of 6 numbers; found ";
    for (body, error) in [
        ("{", "not JSON: EOF while parsing an object at line 1 column 1".to_owned()),
        ("{}", format!("{wanted}no array")),
        ("[]", format!("{wanted}shape [0]")),
        ("[[1,2],[3,4]]", format!("{wanted}shape [2, 2]")),
        ("[[[[[1]]]]]", format!("{wanted}shape [1, 1, 1, 1]")),
    ] {
        assert_eq!(predict(port, "", body), (400, json!({ "error": error })), "{body}");
    }
    let row = "[1,2,3,4,5,6]";
    let window = |last: &str| format!("[[{}{last}]]", format!("{row},").repeat(39));
    assert_eq!(
        predict(port, "", &window("[1,2,3]")).1["error"],
        "arrays of one depth differ in length: 6 and 3"
    );
    assert_eq!(
        predict(port, "", &window("[1,2,3,4,5,\"6\"]")).1["error"],
        "instances hold numbers (or null for a missing value) and nothing else"
    );
    assert_eq!(predict(port, "", &window("[1,2,3,4,5,null]")).0, 200, "the recipe holds one value");
    assert_eq!(http(port, "GET", "/nothing", "", "").0, 404);
    assert_eq!(http(port, "GET", "/predict", "", "").0, 405);
    // One byte too long: with more the server would end the connection while the test still writes.
    let huge = format!("[{}]", " ".repeat((4 << 20) - 1));
    let (status, answer) = predict(port, "?pipeline=a&pipeline=b", "[]");
    assert!(status == 400 && answer["error"].is_string(), "{answer}");
    let error = "the body is longer than 4194304 bytes";
    assert_eq!(predict(port, "", &huge), (413, json!({ "error": error })));
}

#[test]
fn a_token_is_asked_for_on_every_route_but_healthz() {
    let (_board, _daemon, port) = serve(&["gestures"], "token = \"credential:http-token\"");
    let body = rows("gestures");
    let post = |head: &str| http(port, "POST", "/predict", head, &body).0;
    assert_eq!(post(""), 401);
    assert_eq!(post("Authorization: Bearer open sesam\r\n"), 401);
    assert_eq!(post("Authorization: Bearer open sesame\r\n"), 200);
    assert_eq!(http(port, "GET", "/metrics", "", "").0, 401);
    assert_eq!(http(port, "GET", "/healthz", "", "").0, 200);
}
