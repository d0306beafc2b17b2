//! What a script finds in its world.

use mlua::{Lua, LuaOptions, StdLib, Table, Value};

/// Everything else is removed, so that a new Luau release can't add a door. Missing on purpose: files, clocks, modules, code
/// loading, environments, randomness; metatables (their hooks run inside C functions, where no interrupt fires); `table.move`
/// (loops over the index range it is given, however empty); buffers, vectors and `string.pack` (no use here).
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset", "select",
            "tonumber", "tostring", "type", "typeof", "unpack", "xpcall", "_VERSION",
        ],
    ),
    (
        "math",
        &[
            "abs", "ceil", "clamp", "exp", "floor", "fmod", "huge", "isfinite", "isinf", "isnan", "lerp", "log",
            "log10", "map", "max", "min", "modf", "nan", "pi", "pow", "round", "sign", "sqrt",
        ],
    ),
    (
        "string",
        &[
            "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "split",
            "sub", "upper",
        ],
    ),
    (
        "table",
        &[
            "clear", "clone", "concat", "create", "find", "freeze", "insert", "isfrozen", "pack", "remove", "sort",
            "unpack",
        ],
    ),
    ("utf8", &["char", "charpattern", "codepoint", "codes", "len", "offset"]),
    (
        "bit32",
        &[
            "arshift", "band", "bnot", "bor", "btest", "bxor", "countlz", "countrz", "extract", "lrotate", "lshift",
            "replace", "rrotate", "rshift",
        ],
    ),
    ("coroutine", &["close", "create", "isyieldable", "resume", "running", "status", "wrap", "yield"]),
];

/// A VM with the allowed library and what `prepare` adds; everything that scripts share is read-only from here on. `prepare`
/// still finds the removed functions (`setmetatable`, …). Also returned: the globals, to be the parent of environments.
pub(super) fn new_lua(prepare: impl FnOnce(&Lua) -> mlua::Result<()>) -> mlua::Result<(Lua, Table)> {
    let libraries = StdLib::COROUTINE | StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::BIT | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let globals = lua.globals();
    let provided = names(&globals)?;
    lua.load(include_str!("guards.luau")).set_name("=headgate").exec()?;
    prepare(&lua)?;

    keep_only(&globals, &provided, |name| {
        ALLOWED.iter().any(|(library, names)| *library == name || (library.is_empty() && names.contains(&name)))
    })?;
    for (library, allowed) in ALLOWED.iter().filter(|(library, _)| !library.is_empty()) {
        let table: Table = globals.get(*library)?;
        keep_only(&table, &names(&table)?, |name| allowed.contains(&name))?;
    }
    globals.set("print", lua.create_function(|_, ()| Ok(()))?)?;
    lua.sandbox(true)?;
    Ok((lua, globals))
}

fn names(table: &Table) -> mlua::Result<Vec<String>> {
    table.pairs::<String, Value>().map(|pair| pair.map(|(name, _)| name)).collect()
}

fn keep_only(table: &Table, names: &[String], keep: impl Fn(&str) -> bool) -> mlua::Result<()> {
    for name in names.iter().filter(|name| !keep(name)) {
        table.raw_set(name.as_str(), Value::Nil)?;
    }
    Ok(())
}
