-- Each case: a sentence, the facts that differ from an ordinary call to `standard`, the verdict expected. Fields that are not
-- named may be anything; `none` means not given.
return {
  { "an ordinary call is allowed as it is", expect = allow { tier = none, max_tokens = none } },
  { "a caller without a team may use complex models", given = { tier = "complex" }, expect = allow {} },
  { "so may a team without a rule", given = { tier = "complex", team = "product" }, expect = allow { max_tokens = none } },
  {
    "free callers may not use complex models",
    given = { tier = "complex", team = "free" },
    expect = deny { status = 403, code = "tier_not_allowed" },
  },
  {
    "the refusal says what to do",
    given = { tier = "complex", team = "free" },
    expect = deny { message = "Your plan does not include complex models. Use another tier, or upgrade." },
  },
  { "free callers get short answers", given = { team = "free" }, expect = allow { max_tokens = 1024 } },
  { "a cap that is lower stays", given = { team = "free", max_tokens = 100 }, expect = allow { max_tokens = 100 } },
  { "a model asked for by name is not a tier", given = { team = "free", tier = "" }, expect = allow {} },
  { "long work goes to a worker", given = { estimate = { seconds = 301 } }, expect = background() },
  { "shorter work does not", given = { estimate = { seconds = 300 } }, expect = allow {} },
}
