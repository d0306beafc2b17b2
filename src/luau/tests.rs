use std::time::{Duration, Instant};

use super::*;

fn vm() -> Vm {
    Vm::new(Limits::default(), |_, _| Ok(())).expect("a VM can be made")
}

/// Runs `source` as a script in `vm` and returns what it returns.
fn run_in<R: mlua::FromLuaMulti>(vm: &mut Vm, source: &str) -> Result<R, CallFailed> {
    let script = Script::compile("test.lua", source).map_err(CallFailed::Script)?;
    let chunk = vm.load(&script)?;
    vm.call("test.lua", &chunk, ())
}

fn run<R: mlua::FromLuaMulti>(source: &str) -> Result<R, CallFailed> {
    run_in(&mut vm(), source)
}

fn error_of(source: &str) -> ScriptError {
    match run::<mlua::Value>(source) {
        Err(CallFailed::Script(error)) => error,
        other => panic!("expected a script error, got {other:?}"),
    }
}

#[test]
fn endless_work_ends_at_the_time_limit_however_it_is_wrapped() {
    let cases = [
        ("loop", "while true do end"),
        ("pcall", "while true do pcall(function() while true do end end) end"),
        ("nested pcall", "local function f() while true do pcall(f) end end f()"),
        ("xpcall handler", "while true do xpcall(function() error('x') end, function() while true do end end) end"),
        ("coroutine", "while true do coroutine.wrap(function() while true do end end)() end"),
        (
            "swallowing coroutine",
            "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        ),
        ("recursion", "local function f() return pcall(f) and pcall(f) end while true do f() end"),
        ("pattern", "return string.find(('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60))"),
        ("pattern in pcall", "while true do pcall(string.find, ('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60)) end"),
        ("gsub", "return (('a'):rep(4000)):gsub('.-.-.-.-.-b', '')"),
        (
            "sort with a lying order",
            "local t = table.create(100000, 1) table.sort(t, function() return math.huge > 0 end) while true do end",
        ),
        (
            "sort of long strings",
            "local t = {} local s = ('x'):rep(2000000) for i = 1, 100000 do t[i] = i % 2 == 0 and s or s .. 'y' end table.sort(t)",
        ),
        ("string building", "while true do local s = ('x'):rep(1000000) end"),
    ];
    for (name, source) in cases {
        let mut vm = vm();
        let begun = Instant::now();
        let result = run_in::<mlua::MultiValue>(&mut vm, source);
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(400), "{name}: took {took:?}");
        if matches!(result, Err(CallFailed::OutOfTime { .. })) {
            assert!(vm.is_spent(), "{name}: a VM that ran out of time must not be used again");
        }
    }
}

#[test]
fn a_plain_loop_is_reported_as_out_of_time_and_not_as_an_error_of_the_script() {
    for source in ["while true do end", "while true do pcall(function() while true do end end) end"] {
        let failed = run::<mlua::Value>(source).expect_err("the loop has no end");
        assert_eq!(failed, CallFailed::OutOfTime { limit: Duration::from_millis(10) });
    }
}

#[test]
fn a_script_that_swallows_the_time_limit_and_returns_has_no_result() {
    let failed = run::<mlua::Value>("local ok = pcall(function() while true do end end) return 'allowed'");
    assert_eq!(failed.err(), Some(CallFailed::OutOfTime { limit: Duration::from_millis(10) }));
}

#[test]
fn memory_is_capped_for_every_way_to_ask_for_it() {
    let cases = [
        "local s = 'x' while true do s = s .. s end",
        "return ('x'):rep(2 ^ 30)",
        "return table.create(2 ^ 25, 1)",
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = ('x'):rep(1000000) return table.concat(table.create(5000, s))",
        "local s = ('x'):rep(1000000) return s:gsub('.', s)",
        "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
        "local s = ('x'):rep(4000000) return s .. s .. s",
    ];
    for source in cases {
        let mut vm = vm();
        let before = vm.lua().used_memory();
        let result = run_in::<mlua::MultiValue>(&mut vm, source);
        assert!(
            matches!(result, Err(CallFailed::OutOfMemory { .. } | CallFailed::OutOfTime { .. })),
            "{source}: {result:?}"
        );
        assert!(vm.is_spent(), "{source}: a VM that ran out of memory must not be used again");
        assert!(vm.lua().used_memory() <= before + Limits::default().memory_bytes + 4096, "{source}");
    }
}

#[test]
fn deep_recursion_and_odd_error_values_are_errors_of_the_script() {
    let cases = [
        "local function f() return 1 + f() end return f()",
        "local function f() return pcall(f) end local function g() return (f()) and g() end return 1 + g()",
        "local s = ('('):rep(300) return ('x'):find(s)",
        "error(nil)",
        "error({})",
        "error(function() end)",
        "error(('x'):rep(1000000))",
        "local f = function(g) return g(g) end return f(f)",
        "return ('x'):format(1, 2) .. ('%999999d'):format(1)",
        "return coroutine.wrap(function() error({}) end)()",
        "return ('x'):rep(2 ^ 31 - 1)",
        "local c c = coroutine.wrap(function() c() end) c()",
    ];
    for source in cases {
        let begun = Instant::now();
        let result = run::<mlua::MultiValue>(source);
        assert!(result.is_err(), "{source}: {result:?}");
        let text = result.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.len() < 700, "{source}: an error text of {} bytes", text.len());
        assert!(begun.elapsed() < Duration::from_millis(400), "{source}: took {:?}", begun.elapsed());
    }
}

#[test]
fn nested_coroutines_do_not_reach_the_end_of_the_native_stack() {
    let source = "
        local function deeper(n) return coroutine.wrap(function() return deeper(n + 1) end)() end
        return pcall(deeper, 0)";
    // A worker thread of the gateway has 2 MiB.
    let result = std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || run::<bool>(source).map_err(|error| error.to_string()))
        .expect("a thread can be started")
        .join()
        .expect("no crash");
    assert_eq!(result.ok(), Some(false));
}

#[test]
fn nothing_outside_is_within_reach() {
    for name in [
        "io",
        "os",
        "package",
        "debug",
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "require",
        "collectgarbage",
        "gcinfo",
        "getfenv",
        "setfenv",
        "newproxy",
        "setmetatable",
        "getmetatable",
        "_G",
        "string.dump",
        "string.pack",
        "math.random",
        "math.randomseed",
        "table.move",
        "table.foreach",
        "buffer",
        "vector",
        "class",
        "integer",
    ] {
        assert_eq!(run::<bool>(&format!("return {name} == nil")), Ok(true), "{name} is still there");
    }
    // A compiled fast call must not get round the removal by name.
    let error = error_of("return setmetatable({}, { __index = function() return 1 end }).x");
    assert_eq!(error.message, "attempt to call a nil value");
    let error = error_of("return getmetatable('x')");
    assert_eq!(error.message, "attempt to call a nil value");
    assert_eq!(error_of("return os.execute('true')").message, "attempt to index nil with 'execute'");
    assert_eq!(error_of("return require('x')").message, "attempt to call a nil value");
}

#[test]
fn bytecode_is_not_accepted_as_source() {
    let script = Script::compile("a.lua", "return 1").expect("valid source");
    let text = String::from_utf8_lossy(script.bytecode()).into_owned();
    assert!(Script::compile("b.lua", &text).is_err());
}

#[test]
fn a_call_leaves_nothing_for_the_next_one() {
    let mut vm = vm();
    let count = "hits = (hits or 0) + 1 return hits";
    assert_eq!(run_in(&mut vm, count), Ok(1));
    assert_eq!(run_in(&mut vm, count), Ok(1));
    let chunk = vm.load(&Script::compile("test.lua", "math = nil pcall = 1 return 1").expect("valid")).expect("loads");
    assert_eq!(vm.call("test.lua", &chunk, ()), Ok(1));
    assert_eq!(run_in(&mut vm, "return math.max(1, 2)"), Ok(2));
    assert_eq!(run_in(&mut vm, "return pcall(error)"), Ok(false));
    assert!(!vm.is_spent());
}

#[test]
fn shared_tables_are_read_only() {
    for source in [
        "math.max = nil",
        "string.find = print",
        "rawset(table, 'sort', 1)",
        "table.clear(string)",
        "table.insert(math, 1)",
    ] {
        let error = error_of(source);
        assert!(error.message.contains("readonly"), "{source}: {}", error.message);
    }
}

#[test]
fn an_error_names_file_and_line() {
    let syntax = Script::compile("policies/a.lua", "return 1\nreturn (").err().expect("a syntax error");
    assert_eq!((syntax.file.as_str(), syntax.line), ("policies/a.lua", Some(2)));
    assert_eq!(syntax.to_string(), "policies/a.lua:2: Expected <eof>, got 'return'");

    let raised = error_of("\n\nerror('no')");
    assert_eq!(raised.to_string(), "test.lua:3: no");
    let in_library = error_of("\nreturn ('x'):rep()");
    assert_eq!(in_library.line, Some(2));
    let in_guard = error_of("\n\nreturn ('x'):find('[')");
    assert_eq!(in_guard.line, Some(3));
}

#[test]
fn searches_whose_work_has_no_interrupt_are_refused_by_size() {
    let error = error_of("local s = ('a'):rep(3000000) return s:find(('a'):rep(1500000) .. 'b', 1, true)");
    assert!(error.message.contains("search a part of the text"), "{}", error.message);
    let error = error_of("local s = ('a'):rep(1000000) return s:match('[' .. ('b'):rep(100000) .. ']*')");
    assert!(error.message.contains("search a part of the text"), "{}", error.message);
    assert_eq!(run("return (('a'):rep(100000) .. 'needle'):find('needle', 1, true)"), Ok(100_001));
    assert_eq!(run::<(i64, i64)>("local t = { 3, 1, 2 } table.sort(t) return t[1], t[3]"), Ok((1, 3)));
    assert_eq!(run::<i64>("local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) return t[1]"), Ok(3));
}

#[test]
fn each_thread_has_its_own_value_and_a_dropped_handle_frees_it() {
    use std::rc::Rc;

    let first: PerThread<Rc<i32>> = PerThread::default();
    let mut built = 0;
    for _ in 0..2 {
        let build = || {
            built += 1;
            Ok::<_, ()>(Rc::new(7))
        };
        assert_eq!(first.with(build, |value| (**value, After::Keep)), Ok(7));
    }
    assert_eq!(built, 1);

    let seen = Rc::new(1);
    let second: PerThread<Rc<i32>> = PerThread::default();
    second.with(|| Ok::<_, ()>(Rc::clone(&seen)), |_| ((), After::Keep)).expect("built");
    assert_eq!(Rc::strong_count(&seen), 2);
    drop(second);
    let third: PerThread<Rc<i32>> = PerThread::default();
    third.with(|| Ok::<_, ()>(Rc::new(0)), |_| ((), After::Keep)).expect("built");
    assert_eq!(Rc::strong_count(&seen), 1, "the value of a dropped handle is gone");

    third.with(|| Err(()), |_| ((), After::Rebuild)).expect("still there");
    assert_eq!(third.with(|| Err("rebuilt"), |_| ((), After::Keep)), Err("rebuilt"));
}

#[test]
fn a_vm_can_be_dropped_by_the_end_of_its_thread() {
    let handle: PerThread<Vm> = PerThread::default();
    std::thread::scope(|scope| {
        let thread =
            scope.spawn(|| handle.with(|| Ok::<_, ()>(vm()), |vm| (run_in::<i64>(vm, "return 1"), After::Keep)));
        assert_eq!(thread.join().expect("no crash"), Ok(Ok(1)));
    });
}
