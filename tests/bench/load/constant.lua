-- Rendered once by wrk itself.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"user":17,"visit":123,"order":6167,"name":"user-00017","run":"closed-loop-20261122T000000"}'
wrk.path = "/items/6167"
