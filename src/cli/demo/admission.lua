-- Who may do what. Edit and save: it is live within a second.
return function(request)
  if request.tier == "complex" and request.team == "free" then
    return deny { status = 403, code = "tier_not_allowed", message = "The free plan has no complex models. Ask for standard." }
  end
  return allow {}
end
