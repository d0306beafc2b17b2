-- admission.lua: who may do what, and how. Runs before a cent is set aside.
--
-- Return one of
--   allow { tier = "…", max_tokens = n }          both optional: move to another tier, lower the output cap
--   deny { status = 403, code = "…", message = "…" }   status: 400, 402, 403, 404, 422, 429, 451 or 503
--   background()                                  the call is long work: hand it to a worker
-- Anything else, or an error, refuses the call with 503. Budgets and rate limits are not rules of this file: they are in
-- config.yaml. Facts: those of tiers.lua, and request.tier, request.estimate.usd (worst case), request.estimate.seconds.
-- Try a change: headgate policy test

-- The tiers a team may use; a team that is not listed may use all of them.
local TIERS_OF_TEAM = {
  free = { simple = true, standard = true },
}

-- The longest answer a team may ask for, in tokens; nothing here raises the cap of the tier.
local MAX_TOKENS_OF_TEAM = {
  free = 1024,
}

local BACKGROUND_SECONDS = 300

return function(request)
  local tiers = TIERS_OF_TEAM[request.team]
  -- An empty tier is a model asked for by name; the key's own list in config.yaml rules over those.
  if tiers and request.tier ~= "" and not tiers[request.tier] then
    return deny {
      status = 403,
      code = "tier_not_allowed",
      message = `Your plan does not include {request.tier} models. Use another tier, or upgrade.`,
    }
  end

  if request.estimate.seconds > BACKGROUND_SECONDS then
    return background()
  end

  return allow { max_tokens = MAX_TOKENS_OF_TEAM[request.team] }
end
