//! The drawing of the house, checked: every `crate::` and `super::` path in `src/` and `workers/` points down.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor; a room may use lower floors and itself.
const FLOORS: &[(&str, u8)] = &[
    ("domain", 0),
    ("telemetry", 0),
    ("sync", 0),
    ("config", 1),
    ("store", 1),
    ("egress", 1),
    ("luau", 1),
    ("pricing", 1),
    ("dialects", 2),
    ("providers", 2),
    ("policy", 2),
    ("ledger", 2),
    ("targets", 2),
    ("runs", 2),
    ("journal", 2),
    ("queue", 2),
    ("jwt", 2),
    ("pipeline", 3),
    ("server", 4),
    ("admin", 4),
    ("workers", 4),
    ("simulator", 4),
    ("app", 5),
    ("cli", 5),
];

/// Arrows on one floor that are meant: the ground's names are made from its values, commands start the app.
const LEVEL_ARROWS: &[(&str, &str)] = &[("telemetry", "domain"), ("cli", "app")];

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for (file, module) in sources() {
        let text = code_only(&fs::read_to_string(&file).expect("a readable source file"));
        let Some(room) = module.first() else { continue };
        for used in used_rooms(&text, &module) {
            if !may_use(room, &used) {
                wrong.push(format!("{}: {room} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn the_simulator_shares_no_code_with_the_gateway() {
    for (file, module) in sources() {
        if module.first().is_some_and(|room| room == "simulator") {
            let text = code_only(&fs::read_to_string(&file).expect("a readable source file"));
            let foreign: Vec<_> = used_rooms(&text, &module).into_iter().filter(|r| r != "simulator").collect();
            assert!(foreign.is_empty(), "{}: {foreign:?}", file.display());
        }
    }
}

#[test]
fn every_room_has_a_floor_and_every_floor_entry_a_room() {
    let rooms: BTreeMap<String, ()> =
        sources().into_iter().filter_map(|(_, module)| module.first().map(|r| (r.clone(), ()))).collect();
    let drawn: Vec<&str> = FLOORS.iter().map(|(room, _)| *room).collect();
    for room in rooms.keys() {
        assert!(drawn.contains(&room.as_str()), "{room} stands on no floor");
    }
    for room in drawn {
        assert!(rooms.contains_key(room), "{room} is drawn but not built");
    }
}

#[test]
fn the_reader_of_paths_sees_groups_and_supers() {
    let module = ["pipeline".to_owned(), "route".to_owned()];
    let text =
        "use crate::{admin, store::{Store}}; use super::super::server::x; fn f() { crate::app::y() } use super::z;";
    assert_eq!(used_rooms(&code_only(text), &module), ["admin", "store", "app", "server"]);
    assert_eq!(code_only("a // crate::cli\nb \"crate::cli\" c"), "a \nb  c");
    assert!(!may_use("domain", "config") && !may_use("ledger", "runs") && may_use("cli", "domain"));
}

fn may_use(room: &str, used: &str) -> bool {
    let floor = |name: &str| FLOORS.iter().find(|(room, _)| *room == name).map(|(_, floor)| *floor);
    if room == used || LEVEL_ARROWS.contains(&(room, used)) {
        return true;
    }
    matches!((floor(room), floor(used)), (Some(mine), Some(theirs)) if theirs < mine)
}

/// Every source file with its module path; `lib.rs` and `main.rs` belong to no room.
fn sources() -> Vec<(PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for (dir, prefix) in [("src", None), ("workers", Some("workers"))] {
        walk(&root.join(dir), &mut |file| {
            let inside = file.strip_prefix(root.join(dir)).expect("below its folder").with_extension("");
            let mut module: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if prefix == Some("workers") && module == ["workers"] {
                module.clear();
            }
            module.splice(0..0, prefix.map(str::to_owned));
            if prefix.is_none() && (module == ["lib"] || module == ["main"]) {
                return;
            }
            found.push((file.to_owned(), module));
        });
    }
    found
}

fn walk(dir: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            walk(&path, each);
        } else if path.extension().is_some_and(|e| e == "rs") {
            each(&path);
        }
    }
}

/// The text without comments and without what stands in string literals.
fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(['"', '/']) {
            if rest[at..].starts_with("//") {
                rest = &rest[..at];
                break;
            }
            if rest[at..].starts_with('"') {
                out.push_str(&rest[..at]);
                let tail = &rest[at + 1..];
                rest = tail.find('"').map_or("", |end| &tail[end + 1..]);
            } else {
                out.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
        out.push_str(rest);
        out.push('\n');
    }
    out.trim_end_matches('\n').to_owned()
}

/// First segments of all paths that start at the crate's root: `crate::` ones first, then `super::` ones.
fn used_rooms(code: &str, module: &[String]) -> Vec<String> {
    let mut rooms = Vec::new();
    let mut take = |rest: &str| {
        if let Some(group) = rest.strip_prefix('{') {
            for item in top_level_items(group) {
                rooms.push(first_word(item.trim()));
            }
        } else {
            rooms.push(first_word(rest));
        }
    };
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            take(&code[at + "crate::".len()..]);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with(':') || code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let mut rest = &code[at..];
        let mut ups = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, ups) = (next, ups + 1);
        }
        // An inner module adds a level of its own, which can only make this see less.
        if ups >= module.len() {
            take(rest);
        }
    }
    rooms.retain(|room| room != "tests" && !room.is_empty());
    rooms
}

fn top_level_items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
