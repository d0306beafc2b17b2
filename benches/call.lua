-- wrk: one chat call of about 1 KB, from a thousand users in turn.
-- Arguments: the tier, and `stream` for a streamed answer.

local USERS = 1000

local requests, turn = {}, 0

function init(args)
  local stream = args[2] == "stream" and ',"stream":true' or ""
  local prompt = string.rep("A headgate decides what flows into a canal, how much of it, and when to shut. ", 11)
  local body = '{"model":"' .. args[1] .. '"' .. stream .. ',"max_tokens":1000,"temperature":0.2,"messages":['
    .. '{"role":"system","content":"You are a terse assistant."},{"role":"user","content":"' .. prompt .. '"}]}'
  for user = 1, USERS do
    requests[user] = wrk.format("POST", "/v1/chat/completions", {
      ["authorization"] = "Bearer bench-key",
      ["content-type"] = "application/json",
      ["x-user-id"] = "user-" .. user,
    }, body)
  end
end

function request()
  turn = turn % USERS + 1
  return requests[turn]
end
