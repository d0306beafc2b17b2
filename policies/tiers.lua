-- tiers.lua: which tier serves a call that asked for `auto`.
--
-- Called with the facts of one request; returns the name of a tier from config.yaml. When it fails, the call gets
-- `default_tier`. Facts: request.dialect, .model, .stream, .message_count, .input_tokens, .max_tokens, .has_images,
-- .has_tools, .key, .team, .user, .metadata.<name>, .hour (0-23, UTC), .weekday (1 = Monday), .generation; request:text() is
-- the text of all messages (at most the first MiB). Try a change: headgate policy test

local LONG_TOKENS = 6000 -- more input than a small model reads well
local SHORT_TOKENS = 600

-- Words that announce work rather than a question.
local HARD = { "prove", "refactor", "architecture", "step by step", "analyze", "analyse", "root cause", "trade-off" }

return function(request)
  -- A caller who knows better says so: "metadata": { "complexity": "complex" }
  local asked = request.metadata.complexity
  if asked == "simple" or asked == "standard" or asked == "complex" then
    return asked
  end

  if request.input_tokens > LONG_TOKENS or (request.has_tools and request.message_count > 10) then
    return "complex"
  end
  if request.has_tools or request.has_images or request.input_tokens > SHORT_TOKENS then
    return "standard"
  end

  local text = string.lower(request:text())
  for _, word in HARD do
    if string.find(text, word, 1, true) then
      return "standard"
    end
  end
  return "simple"
end
