-- Each case: a sentence, the failure, the verdict expected. Not given: an OpenAI-format provider, no code, no text; with a
-- status the phase is "status", without one "connect". Fields of the verdict that are not named may be anything; `none` means
-- not given.

-- What each class of failure has to lead to, whoever reports it.
local busy = retryable { after = 5, next_target = true, status = 429, code = "rate_limit_exceeded", cool_down = none }
local quota = permanent { next_target = true, cool_down = 60, status = 402, code = "insufficient_quota", after = none }
local overloaded = retryable { after = 5, next_target = true, status = 503, code = "overloaded" }
local server = retryable { after = none, next_target = true, status = 502, code = "upstream_failed" }
local timeout = retryable { next_target = true, status = 504, code = "upstream_timeout" }
local empty = retryable { next_target = true, status = 502, code = "upstream_empty" }
local again = retryable { after = 1, next_target = true, status = 503, code = "upstream_failed" }
local content = user_actionable { next_target = false, status = 400, code = "content_policy_violation" }
local context = user_actionable { next_target = false, status = 400, code = "context_length_exceeded" }
local auth = permanent { next_target = false, cool_down = 60, status = 502, code = "upstream_auth" }
local model = permanent { next_target = false, cool_down = none, status = 404, code = "model_not_found" }
local invalid = permanent { next_target = false, cool_down = none, status = 400, code = "invalid_request" }

return {
  -- Rate limits
  { "OpenAI: rate limit", given = { status = 429, code = "rate_limit_exceeded", error_type = "tokens" }, expect = busy },
  {
    "a wait of less than a second",
    given = { status = 429, retry_after = 0 },
    expect = retryable {
      status = 429,
      message = "Busy, retrying… The provider limits requests. Try again in 1 s.",
    },
  },
  { "OpenAI: slow down", given = { status = 429, code = "slow_down", error_type = "rate_limit_error" }, expect = busy },
  { "Anthropic: rate limit", given = { kind = "anthropic", status = 429, error_type = "rate_limit_error" }, expect = busy },
  {
    "Gemini: quota per minute",
    given = { kind = "gemini", status = 429, code = "RESOURCE_EXHAUSTED", message = "Quota exceeded: GenerateRequestsPerMinute" },
    expect = busy,
  },
  {
    "Gemini: the quota that is used up, as the code",
    given = {
      kind = "gemini",
      status = 429,
      code = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
      error_type = "RESOURCE_EXHAUSTED",
      retry_after = 34.4,
    },
    expect = retryable { after = 34.4, next_target = true, status = 429 },
  },
  { "Mistral: bare 429", given = { status = 429 }, expect = busy },
  { "TGI: overloaded with 429", given = { status = 429, error_type = "overloaded" }, expect = busy },
  { "a numeric code is no word", given = { status = 429, code = "429" }, expect = busy },
  {
    "the provider's wait is kept, fractions too",
    given = { status = 429, retry_after = 34.4 },
    expect = retryable {
      after = 34.4,
      message = "Busy, retrying… The provider limits requests. Try again in 35 s.",
    },
  },
  { "a wait of nothing is kept", given = { status = 429, retry_after = 0 }, expect = retryable { after = 0 } },

  -- Out of money or daily quota
  {
    "OpenAI: insufficient quota",
    given = { status = 429, code = "insufficient_quota", error_type = "insufficient_quota" },
    expect = quota,
  },
  { "OpenAI: credit used up", given = { status = 429, code = "credit_balance_exhausted" }, expect = quota },
  { "OpenAI: organization spend limit", given = { status = 429, code = "organization_spend_limit_exceeded" }, expect = quota },
  { "OpenAI: project spend limit", given = { status = 429, code = "project_spend_limit_exceeded" }, expect = quota },
  { "OpenAI: organization usage limit", given = { status = 429, code = "organization_usage_limit_exceeded" }, expect = quota },
  { "OpenAI: the type alone tells it", given = { status = 429, error_type = "insufficient_quota" }, expect = quota },
  {
    "Anthropic: enforced spend limit",
    given = { kind = "anthropic", status = 429, error_type = "rate_limit_error", code = "enforced_spend_limit_reached" },
    expect = quota,
  },
  {
    "Anthropic: spend limit as a 400",
    given = {
      kind = "anthropic",
      status = 400,
      error_type = "invalid_request_error",
      message = "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
    },
    expect = quota,
  },
  {
    "Anthropic: credit used up, as a 400",
    given = {
      kind = "anthropic",
      status = 400,
      error_type = "invalid_request_error",
      message = "Your credit balance is too low to access the Anthropic API.",
    },
    expect = quota,
  },
  { "Anthropic: billing error", given = { kind = "anthropic", status = 402, error_type = "billing_error" }, expect = quota },
  {
    "Gemini: quota per day, in the text",
    given = {
      kind = "gemini",
      status = 429,
      code = "RESOURCE_EXHAUSTED",
      message = "Quota exceeded for GenerateRequestsPerDayPerProjectPerModel-FreeTier",
    },
    expect = quota,
  },
  {
    "Gemini: quota per day, as the code",
    given = { kind = "gemini", status = 429, code = "GenerateRequestsPerDayPerProjectPerModel" },
    expect = quota,
  },
  {
    "Gemini: quota per day, with a wait that would not help",
    given = {
      kind = "gemini",
      status = 429,
      code = "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
      error_type = "RESOURCE_EXHAUSTED",
      retry_after = 52,
    },
    expect = quota,
  },
  { "Gemini: prepaid credit gone", given = { kind = "gemini", status = 402, code = "RESOURCE_EXHAUSTED" }, expect = quota },
  { "Mistral: payment required", given = { status = 402 }, expect = quota },
  { "DeepSeek: insufficient balance", given = { status = 402, message = "Insufficient Balance" }, expect = quota },
  {
    "a longer wait makes a longer cool-down",
    given = { status = 429, code = "insufficient_quota", retry_after = 3600 },
    expect = permanent { cool_down = 3600 },
  },
  {
    "a caller who writes of spend limits takes no target out of service",
    given = { status = 400, code = "invalid_value", message = "Invalid 'tools[0].name': 'spend limit insufficient balance'" },
    expect = invalid,
  },

  -- Overloaded
  { "OpenAI: overloaded", given = { status = 503, error_type = "service_unavailable_error", code = "server_is_overloaded" }, expect = overloaded },
  { "OpenAI: slow down as a 503", given = { status = 503, code = "slow_down" }, expect = overloaded },
  { "Anthropic: overloaded", given = { kind = "anthropic", status = 529, error_type = "overloaded_error" }, expect = overloaded },
  {
    "Anthropic: overloaded inside a stream",
    given = { kind = "anthropic", status = 200, phase = "first_content", error_type = "overloaded_error" },
    expect = overloaded,
  },
  { "Gemini: unavailable", given = { kind = "gemini", status = 503, code = "UNAVAILABLE" }, expect = overloaded },
  { "llama.cpp: still loading", given = { status = 503, error_type = "unavailable_error", message = "Loading model" }, expect = overloaded },
  { "a bare 503", given = { status = 503 }, expect = overloaded },
  { "a bare 529", given = { status = 529 }, expect = overloaded },
  { "the provider says how long", given = { status = 503, retry_after = 12 }, expect = retryable { after = 12 } },

  -- Failures of the provider
  { "OpenAI: server error", given = { status = 500, error_type = "server_error" }, expect = server },
  { "OpenAI: server error inside a stream", given = { status = 200, phase = "first_content", code = "server_error" }, expect = server },
  { "Anthropic: api error", given = { kind = "anthropic", status = 500, error_type = "api_error" }, expect = server },
  { "Gemini: internal", given = { kind = "gemini", status = 500, code = "INTERNAL" }, expect = server },
  { "TGI: generation failed", given = { status = 424, error_type = "generation" }, expect = server },
  { "a gateway in between", given = { status = 502, message = "<html>" }, expect = server },
  { "a status nobody knows", given = { status = 599 }, expect = server },
  { "an error inside a 200 that says nothing", given = { status = 200, phase = "first_content" }, expect = server },
  { "not decodable", given = { status = 200, phase = "first_content", message = "expected value at line 1" }, expect = server },
  { "connection refused", given = { phase = "connect", message = "connection refused" }, expect = server },
  { "reset before the head", given = { phase = "headers", message = "connection reset" }, expect = server },
  { "cut in mid-stream", given = { status = 200, phase = "mid_stream" }, expect = server },
  { "an unknown type with a number for a code", given = { status = 500, error_type = "InternalServerError", code = "500" }, expect = server },
  { "request time-out", given = { status = 408 }, expect = again },
  { "conflict", given = { kind = "anthropic", status = 409, error_type = "conflict_error" }, expect = again },
  { "too early", given = { status = 425 }, expect = again },

  -- Time-outs
  { "our clock: connect", given = { phase = "connect", timeout = true }, expect = timeout },
  { "our clock: first content", given = { phase = "first_content", status = 200, timeout = true }, expect = timeout },
  { "our clock: total, in mid-stream", given = { phase = "mid_stream", status = 200, timeout = true }, expect = timeout },
  { "Anthropic: time-out", given = { kind = "anthropic", status = 504, error_type = "timeout_error" }, expect = timeout },
  { "Gemini: deadline", given = { kind = "gemini", status = 504, code = "DEADLINE_EXCEEDED" }, expect = timeout },
  { "a proxy's 524", given = { status = 524 }, expect = timeout },

  -- Nothing at all
  { "an empty stream", given = { status = 200, phase = "first_content", empty = true }, expect = empty },
  { "Gemini: no candidates", given = { kind = "gemini", status = 200, phase = "first_content", empty = true }, expect = empty },

  -- Safety
  { "OpenAI: content policy", given = { status = 400, code = "content_policy_violation" }, expect = content },
  { "Azure: content filter", given = { status = 400, code = "content_filter" }, expect = content },
  { "Azure: inner code", given = { status = 400, code = "ResponsibleAIPolicyViolation" }, expect = content },
  {
    "Azure: told by its text",
    given = { status = 400, message = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy." },
    expect = content,
  },
  { "Anthropic: refusal", given = { kind = "anthropic", status = 200, phase = "first_content", code = "refusal" }, expect = content },
  {
    "Anthropic: output blocked",
    given = { kind = "anthropic", status = 400, error_type = "invalid_request_error", message = "Output blocked by content filtering policy" },
    expect = content,
  },
  { "Gemini: blocked prompt", given = { kind = "gemini", status = 200, phase = "first_content", code = "PROHIBITED_CONTENT" }, expect = content },
  { "Gemini: safety", given = { kind = "gemini", status = 200, phase = "first_content", code = "SAFETY" }, expect = content },
  {
    "the guide's words are kept",
    given = { status = 400, code = "content_policy_violation" },
    expect = user_actionable { message = "Blocked by safety filter. Change the prompt and try again." },
  },

  -- Too long
  { "OpenAI: context length", given = { status = 400, code = "context_length_exceeded" }, expect = context },
  {
    "Anthropic: prompt too long",
    given = { kind = "anthropic", status = 400, error_type = "invalid_request_error", message = "prompt is too long: 210000 tokens > 200000 maximum" },
    expect = context,
  },
  { "Anthropic: request too large", given = { kind = "anthropic", status = 413, error_type = "request_too_large" }, expect = context },
  {
    "Gemini: token count",
    given = { kind = "gemini", status = 400, code = "INVALID_ARGUMENT", message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575)." },
    expect = context,
  },
  {
    "vLLM: told by its text alone, with a number for a code",
    given = { status = 400, code = "400", error_type = "BadRequestError", message = "This model's maximum context length is 4096 tokens." },
    expect = context,
  },
  { "llama.cpp: by type", given = { status = 400, error_type = "exceed_context_size_error" }, expect = context },
  { "llama.cpp: as a 500", given = { status = 500, message = "Context size has been exceeded." }, expect = context },
  {
    "LM Studio: a text alone",
    given = { status = 400, message = "Trying to keep the first 5000 tokens. However, the model is loaded with context length of only 4096 tokens" },
    expect = context,
  },
  { "TGI: validation", given = { status = 422, error_type = "validation", message = "`inputs` tokens + `max_new_tokens` must be <= 4096" }, expect = context },
  { "Mistral: too large", given = { status = 400, message = "Prompt contains 40000 tokens, too large for model with 32768 maximum context length" }, expect = context },
  { "a bare 413", given = { status = 413 }, expect = context },

  -- The gateway's own credentials
  { "xAI: wrong key as a 400", given = { status = 400, message = "Incorrect API key provided: [key]" }, expect = auth },
  { "OpenAI: wrong key", given = { status = 401, code = "invalid_api_key" }, expect = auth },
  { "OpenAI: region", given = { status = 403, code = "unsupported_country_region_territory" }, expect = auth },
  { "Anthropic: wrong key", given = { kind = "anthropic", status = 401, error_type = "authentication_error" }, expect = auth },
  { "Anthropic: no permission", given = { kind = "anthropic", status = 403, error_type = "permission_error" }, expect = auth },
  {
    "Gemini: wrong key is a 400",
    given = { kind = "gemini", status = 400, code = "INVALID_ARGUMENT", message = "API key not valid. Please pass a valid API key." },
    expect = auth,
  },
  { "Gemini: wrong key by its reason", given = { kind = "gemini", status = 400, code = "API_KEY_INVALID" }, expect = auth },
  { "Gemini: region or billing", given = { kind = "gemini", status = 400, code = "FAILED_PRECONDITION" }, expect = auth },
  { "Gemini: no permission", given = { kind = "gemini", status = 403, code = "PERMISSION_DENIED" }, expect = auth },
  { "Mistral: a bare 401", given = { status = 401, message = "Unauthorized" }, expect = auth },

  -- Unknown model
  { "OpenAI: model not found", given = { status = 404, code = "model_not_found" }, expect = model },
  { "OpenAI: model without access", given = { status = 403, code = "model_not_found" }, expect = model },
  { "Azure: no such deployment", given = { status = 404, code = "DeploymentNotFound" }, expect = model },
  { "Anthropic: not found", given = { kind = "anthropic", status = 404, error_type = "not_found_error" }, expect = model },
  { "Gemini: not found", given = { kind = "gemini", status = 404, code = "NOT_FOUND" }, expect = model },
  {
    "Cohere: the calls of the month are used up",
    given = { kind = "cohere", status = 429, message = "You are limited to 1000 API calls / month." },
    expect = quota,
  },
  {
    "Cohere: too long",
    given = { kind = "cohere", status = 400, message = "too many tokens: size limit exceeded by 9 tokens." },
    expect = context,
  },
  {
    "Cohere: more asked for than the model can say is the caller's mistake",
    given = { kind = "cohere", status = 400, message = "too many tokens: max tokens must be less than or equal to 4096" },
    expect = invalid,
  },
  { "Mistral: invalid model is a 400", given = { status = 400, message = "Invalid model: mistral-huge" }, expect = model },
  { "Mistral: by type", given = { status = 400, error_type = "invalid_model", code = "1500" }, expect = model },
  { "vLLM: not found", given = { status = 404, error_type = "NotFoundError", code = "404" }, expect = model },
  { "a bare 404", given = { status = 404 }, expect = model },
  {
    "the caller reads which model",
    given = { provider = "local", model = "llama9", status = 404 },
    expect = permanent { message = "Configuration error: local has no model llama9. Ask for another one." },
  },

  -- Requests the provider refuses
  {
    "OpenAI: invalid value, in the provider's words",
    given = { status = 400, code = "invalid_value", param = "temperature", message = "temperature must be <= 2" },
    expect = permanent { status = 400, code = "invalid_request", message = "temperature must be <= 2" },
  },
  { "Anthropic: invalid request", given = { kind = "anthropic", status = 400, error_type = "invalid_request_error" }, expect = invalid },
  { "Gemini: invalid argument", given = { kind = "gemini", status = 400, code = "INVALID_ARGUMENT" }, expect = invalid },
  { "Mistral: validation", given = { status = 422, message = "Extra inputs are not permitted" }, expect = invalid },
  { "TGI: validation of something else", given = { status = 422, error_type = "validation", message = "`temperature` must be strictly positive" }, expect = invalid },
  { "any other 4xx", given = { status = 418 }, expect = invalid },
  {
    "a refusal without words says what to do",
    given = { status = 400 },
    expect = permanent { message = "The provider refused the request. Check its fields." },
  },
  { "a redirect is a wrong address", given = { status = 302 }, expect = permanent { status = 502, code = "upstream_failed" } },
}
