-- Each case: a sentence, the facts that differ from an ordinary short question, the tier expected.
return {
  { "a short question is simple", expect = "simple" },
  { "a longer text is standard", given = { input_tokens = 601 }, expect = "standard" },
  { "a very long text is complex", given = { input_tokens = 6001 }, expect = "complex" },
  { "tools need a model that uses them well", given = { has_tools = true }, expect = "standard" },
  { "a long dialogue with tools is complex", given = { has_tools = true, message_count = 11 }, expect = "complex" },
  { "a long dialogue without tools is judged by its length", given = { message_count = 11 }, expect = "simple" },
  { "images are standard", given = { has_images = true }, expect = "standard" },
  { "work is not a question", given = { text = "Refactor this function" }, expect = "standard" },
  { "the caller's own word counts", given = { metadata = { complexity = "complex" } }, expect = "complex" },
  {
    "also when it asks for less",
    given = { input_tokens = 9000, metadata = { complexity = "simple" } },
    expect = "simple",
  },
  { "an unknown word does not", given = { metadata = { complexity = "huge" } }, expect = "simple" },
}
