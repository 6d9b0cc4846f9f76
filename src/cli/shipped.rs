//! The man pages and completions that packages hold, written from the arguments themselves.
//!
//! After a change of the command line: `EDGERUN_WRITE_DOCS=1 cargo nextest run --no-default-features --lib shipped`.

use std::collections::BTreeMap;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

/// Each file below `packaging/`, by its path.
fn files() -> BTreeMap<String, Vec<u8>> {
    let mut command = super::Cli::command();
    let mut files = BTreeMap::new();
    for (shell, name) in
        [(Shell::Bash, "edgerun.bash"), (Shell::Fish, "edgerun.fish"), (Shell::Zsh, "_edgerun")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "edgerun", &mut script);
        files.insert(format!("completions/{name}"), script);
    }
    command.build();
    pages(&command, "edgerun", &mut files);
    files
}

/// A page for `command`, and for each command below it.
fn pages(command: &clap::Command, name: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    // `disable_help_subcommand` has no say over what was built already.
    let below = command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help");
    for inner in below {
        pages(inner, &format!("{name}-{}", inner.get_name()), files);
    }
    let mut page = Vec::new();
    let titled = command.clone().version(env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(titled).section("1").render(&mut page).expect("written to memory");
    files.insert(format!("man/{name}.1"), page);
}

#[test]
fn pages_and_completions_of_the_package_are_those_of_this_command_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let files = files();
    if std::env::var_os("EDGERUN_WRITE_DOCS").is_some() {
        for (name, contents) in &files {
            std::fs::write(folder.join(name), contents).expect("packaging/ can be written");
        }
    }
    for kind in ["man", "completions"] {
        for entry in std::fs::read_dir(folder.join(kind)).expect("packaging/ is there") {
            let name = format!("{kind}/{}", entry.expect("an entry").file_name().to_string_lossy());
            assert!(
                files.contains_key(&name),
                "packaging/{name} is of no command any more: remove it"
            );
        }
    }
    for (name, contents) in files {
        let found = std::fs::read(folder.join(&name)).unwrap_or_default();
        assert!(found == contents, "packaging/{name} is behind; see src/cli/shipped.rs");
    }
}
