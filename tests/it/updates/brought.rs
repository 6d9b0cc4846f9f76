//! Signed updates on a medium that an operator brings to a board that follows another repository: believed no more
//! and no less than what comes over the network.

use super::*;

/// A board whose repository nobody can reach, and a publisher with 1.0.0.
fn remote() -> Board {
    let board = board("repository = \"http://127.0.0.1:1/tuf\"\nroot = \"repo/root.json\"");
    let publisher = Publisher { board: &board };
    publisher.repo(&["init", "repo"]);
    publisher.publish("1.0.0", same);
    board
}

/// What is published now, on a medium of its own.
fn copy(board: &Board, name: &str) {
    let folder = board.path(name);
    for part in ["metadata", "targets"] {
        fs::create_dir_all(folder.join(part)).unwrap();
        for file in fs::read_dir(board.path("repo/repository").join(part)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.join(part).join(file.file_name())).unwrap();
        }
    }
}

fn bring(board: &Board, name: &str, more: &[&str]) -> (bool, String) {
    let dir = board.path(name);
    let output = board.output(&[&["ota", "apply", "--from", dir.to_str().unwrap()], more].concat());
    (output.status.success(), said(&output))
}

#[test]
fn a_signed_version_comes_on_a_medium_with_and_without_a_daemon() {
    let board = remote();
    let publisher = Publisher { board: &board };
    // The publisher's own folder will do.
    let (good, text) = bring(&board, "repo", &[]);
    assert!(good && text.starts_with("no daemon runs"), "{text}");
    let _daemon = board.run_until_ready(&[]);
    until(&board, |status| status["state"] == "committed");

    publisher.publish("1.1.0", same);
    copy(&board, "USB stick");
    let url = format!("file://{}/USB%20stick", board.dir.path().display());
    let output = board.output(&["ota", "apply", "--from", &url]);
    let text = said(&output);
    assert!(output.status.success() && text.contains("version 1.1.0 serves, and is"), "{text}");
    let status = until(&board, |status| status["state"] == "committed");
    assert_eq!(
        (&status["running"]["version"], &status["running"]["origin"]),
        (&"1.1.0".into(), &"repository".into())
    );
    let again = bring(&board, "USB stick", &["--model", "gestures"]);
    assert_eq!(again, (true, "model gestures: version 1.1.0 serves already\n".to_owned()));

    let (good, text) = bring(&board, "USB stick", &["--version", "1.0.0"]);
    assert!(!good && text.contains("say --allow-downgrade if that is meant"), "{text}");
    let (good, text) = bring(&board, "USB stick", &["--version", "1.0.0", "--allow-downgrade"]);
    assert!(good && text.contains("version 1.0.0 serves"), "{text}");
    let (good, text) = bring(&board, "USB stick", &["--version", "3.0.0"]);
    assert!(!good && text.contains("does not have version 3.0.0 of model gestures"), "{text}");
}

#[test]
fn a_medium_is_not_believed_where_the_repository_would_not_be() {
    let board = remote();
    let publisher = Publisher { board: &board };
    assert!(bring(&board, "repo", &[]).0);
    copy(&board, "old");
    publisher.publish("1.1.0", same);
    let _daemon = board.run_until_ready(&[]);
    until(&board, |status| status["state"] == "committed");

    // Somebody else's, whole and good.
    publisher.repo(&["init", "other"]);
    let (good, text) = bring(&board, "other", &[]);
    assert!(!good && text.contains("is not signed by its keys"), "{text}");

    copy(&board, "forged");
    let targets = fs::read_dir(board.path("forged/targets")).unwrap();
    for path in targets.map(|entry| entry.unwrap().path()) {
        let mut bytes = fs::read(&path).unwrap();
        bytes[2000] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let (good, text) = bring(&board, "forged", &[]);
    assert!(!good && text.contains("version 1.1.0 is rejected: "), "{text}");
    let status = status(&board);
    assert_eq!(
        (&status["failure"]["code"], &status["running"]["version"]),
        (&"bad_signature".into(), &"1.0.0".into())
    );

    // The board has seen newer metadata, on the forged medium.
    let (good, text) = bring(&board, "old", &["--version", "1.0.0"]);
    assert!(!good && text.contains("The medium holds an older copy: bring a new one"), "{text}");
    let (good, text) = bring(&board, "recordings", &[]);
    assert!(!good && text.contains("recordings is no repository"), "{text}");
    let (good, text) = bring(&board, "repo", &[]);
    assert!(good, "{text}");
}

#[test]
fn what_came_over_the_network_is_newer_than_an_old_medium() {
    let board = board(&format!("{REPOSITORY}\nfollow = \"latest\""));
    let publisher = Publisher { board: &board };
    publisher.repo(&["init", "repo"]);
    publisher.publish("1.0.0", same);
    copy(&board, "old");
    publisher.publish("1.1.0", same);
    let mut daemon = board.run_until_ready(&[]);
    until(&board, |status| status["state"] == "committed");
    let old = ["--version", "1.0.0", "--allow-downgrade"];
    let with = bring(&board, "old", &old);
    assert_eq!(daemon.terminate(), Some(0));
    let without = bring(&board, "old", &old);
    for (good, text) in [with, without] {
        assert!(!good && text.contains("the repository went backwards"), "{text}");
        assert!(text.contains("The medium holds an older copy: bring a new one"), "{text}");
    }
    assert_eq!(status(&board)["running"]["version"], "1.1.0");
}

#[test]
fn without_a_root_of_trust_nothing_signed_is_taken() {
    let board = board("");
    let publisher = Publisher { board: &board };
    publisher.repo(&["init", "repo"]);
    publisher.publish("1.0.0", same);
    let (good, text) = bring(&board, "repo", &[]);
    assert!(!good && text.contains("no [ota] repository is configured"), "{text}");
    let _daemon = board.run_until_ready(&[]);
    let (good, text) = bring(&board, "repo", &[]);
    assert!(!good && text.contains("no [ota] repository is configured"), "{text}");
}
