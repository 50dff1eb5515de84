-- An action for http-request: asks a Domicile node's /authorize about the request in hand.
--
--   setenv DOMICILE_NODE https://ca.example.com:8443          the node
--   setenv DOMICILE_TOKEN_FILE /etc/haproxy/domicile.token    the token of gateway.authorize_token_file; optional
--   setenv DOMICILE_FIELDS x-org,x-tenant                     more fields to show to the node; optional: those that
--                                                             routes name as organization = "header:..."
--   lua-load /etc/haproxy/domicile.lua
--
-- Authorization is always shown, nothing else of the request is, and never its body or query.
--
-- On a yes the node's Domicile-* fields are set on the request, every other field of that name is
-- gone, and txn.domicile_permitted is true. On anything else the client gets the node's refusal, or
-- 503 where the node gave no answer. Whoever forgets the "deny unless" line of haproxy.cfg is still
-- safe: the action never returns without a yes.

local url = assert(os.getenv("DOMICILE_NODE"), "domicile.lua: setenv DOMICILE_NODE must stand before lua-load") .. "/authorize"
local token
if os.getenv("DOMICILE_TOKEN_FILE") ~= nil then
  local file = assert(io.open(os.getenv("DOMICILE_TOKEN_FILE"), "r"))
  token = file:read("l")
  file:close()
  assert(token ~= nil and #token >= 32, "domicile.lua: the token file must hold 32 characters or more")
end
local shown = { "authorization" }
for name in (os.getenv("DOMICILE_FIELDS") or ""):gmatch("[^,%s]+") do
  shown[#shown + 1] = name:lower()
end

local GIVEN = { "domicile-organization", "domicile-subject", "domicile-permissions", "domicile-acting-organization",
  "domicile-epoch", "domicile-context", "domicile-request-id" }
local TOLD = { "content-type", "www-authenticate", "retry-after", "allow", "domicile-reason", "domicile-home-url",
  "domicile-request-id" }
local UNAVAILABLE = '{"type":"about:blank","title":"Service Unavailable","status":503,"reason":"decision_unavailable"}'
local TIMEOUT_MS = 12000  -- a strict route's event may take 10 s

-- The values of one field; the tables of HAProxy count from 0.
local function values(fields, name)
  local out, field = {}, fields and fields[name]
  if field == nil then return out end
  local i = field[0] ~= nil and 0 or 1
  while field[i] ~= nil do
    out[#out + 1] = field[i]
    i = i + 1
  end
  return out
end

local function refuse(txn, status, fields, body)
  local reply = txn:reply { status = status }
  reply:add_header("cache-control", "no-store")
  for _, pair in ipairs(fields) do reply:add_header(pair[1], pair[2]) end
  reply:set_body(body)
  txn:done(reply)
end

local function no_decision(txn)
  refuse(txn, 503, { { "content-type", "application/problem+json" }, { "retry-after", "1" } }, UNAVAILABLE)
end

local function question(txn)
  local fields = {
    ["x-forwarded-method"] = { txn.sf:method() },
    ["x-forwarded-uri"] = { txn.sf:path() },
    ["x-forwarded-for"] = { txn.sf:src() },
  }
  local sent = txn.http:req_get_headers()
  for _, name in ipairs(shown) do
    local found = values(sent, name)
    if #found > 0 then fields[name] = found end  -- twice stays twice: the node refuses it
  end
  if token ~= nil then fields["domicile-proxy-token"] = { token } end
  return fields
end

local function authorize(txn)
  txn:set_var("txn.domicile_permitted", false)
  local fields = question(txn)
  local asked, answer = pcall(function()
    return core.httpclient():get { url = url, headers = fields, timeout = TIMEOUT_MS }
  end)
  if not asked or answer == nil or answer.status == nil or answer.status == 0 then return no_decision(txn) end
  if answer.status ~= 200 then
    -- 5xx without a reason is HAProxy's own word for "not reached".
    if answer.status >= 500 and #values(answer.headers, "domicile-reason") == 0 then return no_decision(txn) end
    local told = {}
    for _, name in ipairs(TOLD) do
      for _, value in ipairs(values(answer.headers, name)) do told[#told + 1] = { name, value } end
    end
    return refuse(txn, answer.status, told, answer.body or "")
  end
  -- A 200 of the node names its request: anything else that answers 200 there is no node.
  if #values(answer.headers, "domicile-request-id") ~= 1 then return no_decision(txn) end
  for name in pairs(txn.http:req_get_headers()) do
    if name:sub(1, 8) == "domicile" then txn.http:req_del_header(name) end
  end
  for _, name in ipairs(GIVEN) do
    local value = values(answer.headers, name)
    if #value > 1 then return no_decision(txn) end
    if #value == 1 then txn.http:req_set_header(name, value[1]) end
  end
  txn:set_var("txn.domicile_permitted", true)
end

core.register_action("domicile_authorize", { "http-req" }, authorize, 0)
