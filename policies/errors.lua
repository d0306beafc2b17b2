-- errors.lua: what a failure of a provider means for the call, and what the caller reads if it is the last one.
--
-- Return one of
--   retryable { after = seconds }                 try again: the next target, or this one not before `after`
--   user_actionable { … }                         the caller can heal it; nobody else should be asked
--   permanent { next_target = true, … }           asking this target again is useless; another one may do
-- each with: status, code, message (what the caller reads); retryable and permanent also with
-- cool_down (seconds for which no call goes to this target; after a permanent failure, one at a time where a call has no
-- other target). Where the provider has several api_keys, a permanent failure with a cool_down and any 429 are about the
-- key: that one rests, and the next is tried at once. When this script fails, the built-in table decides.
--
-- Facts: failure.provider, .kind (its wire format), .model, .phase ("connect", "headers", "status", "first_content",
-- "mid_stream"), .message, .timeout, .empty; and, nil when the provider did not say, .status, .code, .error_type, .param,
-- .retry_after (seconds). Try a change: headgate policy test

-- What the provider's own words mean: its error code or type, in lower case.
local WORDS = {
  -- OpenAI (rate_limit_exceeded and slow_down go by status: 429 is busy, 503 is overloaded)
  insufficient_quota = "quota",
  credit_balance_exhausted = "quota",
  organization_spend_limit_exceeded = "quota",
  project_spend_limit_exceeded = "quota",
  organization_usage_limit_exceeded = "quota",
  billing_hard_limit_reached = "quota",
  rate_limit_exceeded = "busy",
  server_is_overloaded = "overloaded",
  service_unavailable_error = "overloaded",
  server_error = "server",
  invalid_api_key = "auth",
  model_not_found = "model",
  context_length_exceeded = "context",
  content_policy_violation = "content",
  moderation_blocked = "content",
  -- Azure
  content_filter = "content",
  responsibleaipolicyviolation = "content",
  deploymentnotfound = "model",
  -- Anthropic
  rate_limit_error = "busy",
  enforced_spend_limit_reached = "quota",
  billing_error = "quota",
  overloaded_error = "overloaded",
  api_error = "server",
  timeout_error = "timeout",
  authentication_error = "auth",
  permission_error = "auth",
  not_found_error = "model",
  request_too_large = "context",
  conflict_error = "again",
  refusal = "content",
  -- Gemini: status words, and reasons of ErrorInfo and of a blocked prompt (INVALID_ARGUMENT goes by message)
  resource_exhausted = "busy",
  unavailable = "overloaded",
  internal = "server",
  deadline_exceeded = "timeout",
  unauthenticated = "auth",
  permission_denied = "auth",
  api_key_invalid = "auth",
  failed_precondition = "auth", -- region not served, or billing not set up
  not_found = "model",
  safety = "content",
  image_safety = "content",
  prohibited_content = "content",
  blocklist = "content",
  spii = "content",
  recitation = "content",
  -- Mistral and servers for open models
  invalid_model = "model",
  notfounderror = "model", -- vLLM
  exceed_context_size_error = "context", -- llama.cpp
  unavailable_error = "overloaded", -- llama.cpp while it loads
}

-- Failures that only their text tells apart. Texts may quote the caller, so the rules that take a target out of service for
-- everybody only look where a caller's words can't stand: at the beginning, or in a status that is about money already.
local MONEY_BEGINS = {
  "your credit balance is too low", -- Anthropic, 400
  "you have reached your specified", -- Anthropic, 400: usage limits set by its owner
  "this request would exceed your organization's spend", -- Anthropic
}
local KEY_BEGINS = {
  "api key not valid", -- Gemini, 400
  "api key expired",
  "api_key_invalid",
  "incorrect api key provided", -- xAI, 400
}
local MODEL_BEGINS = { "invalid model" } -- Mistral, 400
local DAILY = { -- with 429
  "perday",
  "per day quota",
  "spend limit",
  "spending limit",
  "insufficient balance",
  "insufficient credit",
  "calls / month", -- Cohere's trial keys
}
local CONTEXT = {
  "maximum context length", -- OpenAI, vLLM
  "context length exceeded",
  "context_length",
  "context window",
  "context size", -- llama.cpp, also as a 500
  "context length of only", -- LM Studio
  "prompt is too long", -- Anthropic
  "input is too long",
  "exceed context limit", -- Anthropic
  "input token count", -- Gemini
  "exceeds the maximum number of tokens", -- Gemini
  "too large for model with", -- Mistral
  "max_new_tokens` must be", -- TGI
  "too many tokens: total", -- Cohere
  "too many tokens: size limit",
}
local CONTENT = { "content management policy", "content filtering policy", "safety system", "content policy" }
local LOADING = { "loading model", "model is loading", "model is currently loading" }

local STATUS = {
  [400] = "invalid",
  [401] = "auth",
  [402] = "quota",
  [403] = "auth",
  [404] = "model",
  [408] = "again",
  [409] = "again",
  [413] = "context",
  [422] = "invalid",
  [424] = "server", -- TGI: the generation failed
  [425] = "again",
  [429] = "busy",
  [500] = "server",
  [502] = "server",
  [503] = "overloaded",
  [504] = "timeout",
  [522] = "timeout",
  [524] = "timeout",
  [529] = "overloaded",
}

local function holds(text, parts)
  for _, part in parts do
    if string.find(text, part, 1, true) then
      return true
    end
  end
  return false
end

local function begins(text, starts)
  for _, start in starts do
    if string.sub(text, 1, #start) == start then
      return true
    end
  end
  return false
end

local function by_message(failure)
  local status, text = failure.status, string.lower(failure.message)
  if begins(text, MONEY_BEGINS) then
    return "quota"
  elseif begins(text, KEY_BEGINS) then
    return "auth"
  elseif status == 429 then
    local code = string.lower(failure.code or "")
    return if holds(text, DAILY) or holds(code, DAILY) then "quota" else nil
  elseif status == 400 and begins(text, MODEL_BEGINS) then
    return "model"
  elseif status == nil or status == 200 or status == 400 or status == 413 or status == 422 or status == 500 then
    if holds(text, CONTEXT) then
      return "context"
    elseif holds(text, CONTENT) then
      return "content"
    end
  elseif status == 503 and holds(text, LOADING) then
    return "overloaded"
  end
  return nil
end

local function by_word(word)
  return word and WORDS[string.lower(word)]
end

local function by_status(status)
  if status == nil or status < 300 or status >= 500 then
    return "server" -- no connection, an error inside a 200, or a status of 5xx we do not know
  elseif status < 400 then
    return "redirect"
  end
  return "invalid"
end

local function class_of(failure)
  if failure.empty then
    return "empty"
  elseif failure.timeout then
    return "timeout"
  elseif failure.status == 402 then
    return "quota"
  end
  return by_message(failure)
    or by_word(failure.code)
    or by_word(failure.error_type)
    or STATUS[failure.status or 0]
    or by_status(failure.status)
end

-- What each class means.
local VERDICTS = {
  -- After 5 s unless the provider says when.
  busy = function(failure)
    local after = failure.retry_after or 5
    return retryable {
      after = after,
      status = 429,
      code = "rate_limit_exceeded",
      message = `Busy, retrying… The provider limits requests. Try again in {math.max(1, math.ceil(after))} s.`,
    }
  end,

  overloaded = function(failure)
    return retryable {
      after = failure.retry_after or 5,
      status = 503,
      code = "overloaded",
      message = "The model is overloaded. Try again in a moment.",
    }
  end,

  server = function(failure)
    return retryable {
      after = failure.retry_after,
      status = 502,
      code = "upstream_failed",
      message = "Server error, retrying… The provider failed. Try again in a moment.",
    }
  end,

  again = function(failure)
    return retryable {
      after = failure.retry_after or 1,
      status = 503,
      code = "upstream_failed",
      message = "The provider could not take the request just now. Try again in a moment.",
    }
  end,

  timeout = function(failure)
    return retryable {
      after = failure.retry_after,
      status = 504,
      code = "upstream_timeout",
      message = "The model took too long. Try again, or ask for a shorter answer.",
    }
  end,

  empty = function(failure)
    return retryable {
      after = failure.retry_after,
      status = 502,
      code = "upstream_empty",
      message = "The model sent an empty answer. Try again.",
    }
  end,

  -- Waiting does not heal an empty account: every call goes elsewhere for a while.
  quota = function(failure)
    return permanent {
      next_target = true,
      cool_down = math.max(failure.retry_after or 0, 60),
      status = 402,
      code = "insufficient_quota",
      message = "The provider's account is out of credit or quota. Ask the operator of this gateway to raise it.",
    }
  end,

  -- The gateway's key, not the caller's: hence no 401.
  auth = function(failure)
    return permanent {
      cool_down = 60,
      status = 502,
      code = "upstream_auth",
      message = "Configuration error: the provider refused this gateway's credentials. Tell its operator.",
    }
  end,

  -- Never asked elsewhere: a second provider is no way round a safety rule.
  content = function(failure)
    return user_actionable {
      status = 400,
      code = "content_policy_violation",
      message = "Blocked by safety filter. Change the prompt and try again.",
    }
  end,

  context = function(failure)
    return user_actionable {
      status = 400,
      code = "context_length_exceeded",
      message = "The conversation is longer than the model can read. Shorten it, or start a new one.",
    }
  end,

  model = function(failure)
    return permanent {
      status = 404,
      code = "model_not_found",
      message = `Configuration error: {failure.provider} has no model {failure.model}. Ask for another one.`,
    }
  end,

  -- The provider's own words; the gateway adds the field at fault.
  invalid = function(failure)
    local message = failure.message
    return permanent {
      status = 400,
      code = "invalid_request",
      message = if message ~= "" then message else "The provider refused the request. Check its fields.",
    }
  end,

  redirect = function(failure)
    return permanent {
      status = 502,
      code = "upstream_failed",
      message = "Configuration error: the provider's address redirects elsewhere. Tell the operator of this gateway.",
    }
  end,
}

return function(failure)
  return VERDICTS[class_of(failure)](failure)
end
