//! `docs/engine.md` has the op table that the code has.
//!
//! After a change of the table: `EDGERUN_WRITE_DOCS=1 cargo nextest run op_table` writes it anew.

use std::fmt::Write as _;
use std::fs;

use edgerun::engine::native::operators;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/engine.md");
const BEGIN: &str = "<!-- op table: written by tests/it/op_table.rs -->\n";
const END: &str = "<!-- end of the op table -->";

fn table() -> String {
    let mut table = "| operator | types | attributes |\n|---|---|---|\n".to_owned();
    for operator in operators() {
        let kinds: Vec<&str> = operator.kinds().collect();
        let attributes: Vec<String> = operator
            .attributes()
            .iter()
            .map(|(name, values)| format!("{name}: {}", values.join(", ")))
            .collect();
        let (name, kinds, attributes) = (operator.name, kinds.join(", "), attributes.join("; "));
        writeln!(table, "| `{name}` | {kinds} | {attributes} |").unwrap();
    }
    table
}

#[test]
fn documented_op_table_is_the_codes() {
    let text = fs::read_to_string(PATH).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning in docs/engine.md");
    let (found, after) = rest.split_once(END).expect("the table's end in docs/engine.md");
    let table = table();
    if std::env::var_os("EDGERUN_WRITE_DOCS").is_some() {
        fs::write(PATH, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert!(found == table, "docs/engine.md is behind: EDGERUN_WRITE_DOCS=1 writes it anew");
}
