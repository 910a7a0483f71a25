-- The requests of one row of the benchmark, for wrk. ROW names it; the users of .local/bench/tokens
-- take turns, in every thread and connection.
--
-- In the rows `tenants-N`, each thread is an application of its own: wrk divides the connections among
-- the threads, and a script does not see on which connection a request goes.
local row = os.getenv("ROW")
local applications = tonumber(row:match("^tenants%-(%d+)$"))

-- The users of all applications together, about as many as the other rows have in one.
local users_of_tenants = 1024

local function read(name, parse, max)
    local items = {}
    for line in io.lines(".local/bench/" .. name) do
        if #items == max then break end
        items[#items + 1] = parse(line)
    end
    return items
end

-- wrk starts a thread before it loads the script of the next one, and measures from the last one on.
-- So a thread reads only what its row needs.
local function read_for(is_needed, name, parse)
    return is_needed and read(name, parse) or {}
end

local function bearer(token) return "Bearer " .. token end

-- These rows are of an application of their own.
local is_apart = row == "free" or row == "governed" or row == "ruled-10" or row == "expiring"
local tokens = read_for(not applications, is_apart and row or "tokens", bearer)
local turn = 0
local text = string.rep("measure it ", 9) .. "x"

-- For each user: the newest timestamp, the cursor of a client that is up to date, and the one
-- before the newest 50.
local reads_timeline = row == "sync" or row:find("page", 1, true)
local cursors = read_for(reads_timeline, "cursors", function(line)
    local newest, before = line:match("(%d+)|(%d+)")
    return { newest = newest, before = before }
end)
-- Messages, each with the number of a user who may read it.
local messages = read_for(row == "get", "messages", function(line)
    local id, user = line:match("(%d+)|(%d+)")
    return { id = id, user = tonumber(user) }
end)
-- The numbers of the chats that the row is about; user 1 owns them.
local chats = {}
for line in io.lines(".local/bench/chats") do
    local kind, chat = line:match("(%S+) (%d+)")
    if row == kind then chats[#chats + 1] = chat end
end

local threads = 0
function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

local function with_body(method, path, user, body, if_match)
    local headers = { Authorization = tokens[user], ["Content-Type"] = "application/json" }
    headers["If-Match"] = if_match
    return wrk.format(method, path, headers, body)
end

local function get(path, user)
    return wrk.format("GET", path, { Authorization = tokens[user] })
end

local function send(user)
    -- The numbers of users are even, so nobody sends to oneself.
    local to = "user-" .. ((turn * 7 + 1) % #tokens + 1)
    return with_body("POST", "/messages", user, '{"to":"' .. to .. '","text":"' .. text .. '"}')
end

local function post_into_chat(user)
    local chat = chats[turn % #chats + 1]
    return with_body("POST", "/chats/" .. chat .. "/messages", user, '{"text":"' .. text .. '"}')
end

local function post_as_owner() return post_into_chat(1) end

-- Of the ten members, the first five may post.
local function post_as_moderators() return post_into_chat(math.floor(turn / #chats) % 5 + 1) end

-- 60 % sends, 10 % edits, 25 % read marks, 5 % deletes, of messages that this thread has sent. Each
-- is in one request at a time, and comes back with its new timestamp.
local own, is_read = {}, {}
local function mixed(user)
    local draw = turn % 20
    if draw < 12 or #own < 500 then return send(user) end
    local message = table.remove(own, (turn * 7919) % #own + 1)
    local path = "/messages/" .. message.id
    if draw < 14 then
        return with_body("PATCH", path, message.from, '{"text":"' .. text .. turn .. '"}', message.timestamp)
    elseif draw < 19 then
        -- The opposite of the last mark, so that almost every mark moves a position.
        is_read[message.id] = not is_read[message.id]
        return with_body("PATCH", path, message.to, '{"read":' .. tostring(is_read[message.id]) .. '}')
    end
    return with_body("DELETE", path, message.from, nil, message.timestamp)
end

-- 60 % read marks, 40 % sends, after a send for each pair of users. The pairs of a thread are its own.
-- Each mark of a pair is the opposite of the last one, so that every mark moves a position.
local function marks()
    local pairs, passes = {}, #tokens
    local function pair(user)
        local to = (turn * 7 + 1 + 2 * number) % #tokens + 1
        local function mark(read)
            local body = '{"number":' .. read .. ',"back":true}'
            return with_body("PUT", "/users/user-" .. user .. "/read", to, body)
        end
        local body = '{"to":"user-' .. to .. '","text":"' .. text .. '"}'
        return { send = with_body("POST", "/messages", user, body), marks = { mark(1), mark(0) } }
    end
    return function(user)
        local own = pairs[user] or pair(user)
        pairs[user] = own
        passes = passes - 1
        if passes >= 0 or turn % 5 < 2 then return own.send end
        own.marks[1], own.marks[2] = own.marks[2], own.marks[1]
        return own.marks[2]
    end
end

if row == "mixed" then
    function response(_, _, body)
        local id, timestamp, from, to = body:match('^{"id":(%d+),"timestamp":(%d+),"from":"user%-(%d+)","to":"user%-(%d+)"')
        if id then
            own[#own + 1] = { id = id, timestamp = timestamp, from = tonumber(from), to = tonumber(to) }
        end
    end
end

-- A request that a thread makes again and again is put together once: the load generator shares the
-- processors with what is measured.
local function prepared(make, count)
    local requests = {}
    return function(user)
        local key = turn % count
        local request = requests[key] or make(user)
        requests[key] = request
        return request
    end
end

-- A cursor before the newest 50 of a user: what the service has not cached.
local function anywhere(user)
    return turn * 7919 % cursors[user].before
end

local rows = {
    static = function() return wrk.format("GET", "/") end,
    send = send,
    free = send,
    governed = send,
    expiring = send,
    mixed = mixed,
    sync = function(user) return get("/messages?after=" .. cursors[user].newest, user) end,
    page = function(user) return get("/messages?limit=50&after=" .. cursors[user].before, user) end,
    ["early-page"] = function(user) return get("/messages?limit=50&after=" .. anywhere(user), user) end,
    ["early-page-messages"] = function(user)
        return get("/messages?limit=50&include=message&after=" .. anywhere(user), user)
    end,
    ["page-messages"] = function(user)
        return get("/messages?limit=50&include=message&after=" .. cursors[user].before, user)
    end,
    get = function()
        local message = messages[turn * 7919 % #messages + 1]
        return get("/messages/" .. message.id, message.user)
    end,
    ["chat-10"] = post_as_owner,
    ["chat-100"] = post_as_owner,
    ["chat-1000"] = post_as_owner,
    ["ruled-10"] = post_as_moderators,
}

if row == "history" then
    local newcomer = read("newcomer", bearer)[1]
    rows[row] = function()
        local peer, before = turn % 100 + 1, 52 + turn * 7919 % 950
        local path = "/users/writer-" .. peer .. "/messages?limit=50&before=" .. before
        return wrk.format("GET", path, { Authorization = newcomer })
    end
end

local conversations = row:match("^conversations%-(%d+)$")
if conversations then
    local reader = read("reader-" .. conversations, bearer)[1]
    rows[row] = function() return wrk.format("GET", "/conversations", { Authorization = reader }) end
end

local make = applications and send or rows[row]

-- How many different requests a thread makes of a row, if not one for each user.
local anything = 20 * #tokens
local counts = {
    get = #messages, history = anything, ["early-page"] = anything, ["early-page-messages"] = anything,
}

function init()
    turn = number * 500
    if applications then
        tokens = read("tenants/" .. number + 1, bearer, users_of_tenants / applications)
    end
    if row == "marks" then
        make = marks()
    elseif row ~= "mixed" then
        make = prepared(make, counts[row] or #tokens)
    end
end

function request()
    turn = turn + 1
    return make(turn % #tokens + 1)
end

-- The percentile that wrk itself leaves out, in the form of the others.
function done(_, latency)
    io.write(("     95%%  %.2fus\n"):format(latency:percentile(95)))
end
