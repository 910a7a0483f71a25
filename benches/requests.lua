-- The requests of one row of the benchmark, for wrk. ROW names it; 100 users take turns.
local row = os.getenv("ROW")

local function read(name, parse)
    local items = {}
    for line in io.lines(".local/bench/" .. name) do
        items[#items + 1] = parse(line)
    end
    return items
end

local tokens = read("tokens", function(line) return "Bearer " .. line end)
local turn = 0
local text = string.rep("x", 100)
-- The newest timestamp of each user: where a client that is up to date stands.
local cursors = read("cursors", tonumber)
-- Messages, each with the number of a user who may read it.
local messages = read("messages", function(line)
    local id, user = line:match("(%d+)|(%d+)")
    return { id = id, user = tonumber(user) }
end)

-- The numbers of chats of the size that the row is about; user 1 owns them all.
local chats = {}
for line in io.lines(".local/bench/chats") do
    local size, chat = line:match("(%d+) (%d+)")
    if row == "chat-" .. size then chats[#chats + 1] = chat end
end

local function post_into_chat(headers)
    headers["Authorization"] = tokens[1]
    headers["Content-Type"] = "application/json"
    local chat = chats[turn % #chats + 1]
    return wrk.format("POST", "/chats/" .. chat .. "/messages", headers, '{"text":"' .. text .. '"}')
end

local threads = 0
function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init()
    turn = number * 50
end

local rows = {
    static = function()
        return wrk.format("GET", "/health/live")
    end,
    send = function(headers)
        headers["Content-Type"] = "application/json"
        local to = "user-" .. (turn * 7 % 100 + 1)
        return wrk.format("POST", "/messages", headers, '{"to":"' .. to .. '","text":"' .. text .. '"}')
    end,
    sync = function(headers, user)
        return wrk.format("GET", "/messages?after=" .. cursors[user], headers)
    end,
    ["chat-10"] = post_into_chat,
    ["chat-100"] = post_into_chat,
    ["chat-1000"] = post_into_chat,
    get = function()
        local message = messages[turn * 7919 % #messages + 1]
        return wrk.format("GET", "/messages/" .. message.id, { Authorization = tokens[message.user] })
    end,
}

function request()
    turn = turn + 1
    local user = turn % #tokens + 1
    return rows[row]({ Authorization = tokens[user] }, user)
end
