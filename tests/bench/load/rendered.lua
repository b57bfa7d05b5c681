-- A path and a body of five substitutions, made anew for each request.
local n = 0
local format = string.format
local headers = { ["Content-Type"] = "application/json" }

request = function()
  n = n + 1
  local user = n % 50 + 1
  local body = format(
    '{"user":%d,"visit":%d,"order":%d,"name":"user-%05d","run":"%s"}',
    user, math.floor(n / 50), n, user, "closed-loop-20261122T000000"
  )
  return wrk.format("POST", "/items/" .. n, headers, body)
end
