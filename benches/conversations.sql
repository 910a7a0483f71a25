-- Conversations for the rows `conversations-N`: the user reader-N has N of them, every fourth a chat, each with
-- two messages that it has not read, as the service stores them.
CREATE TEMPORARY TABLE place AS
SELECT 'reader-' || size AS reader, 'peer-' || number AS peer, number % 4 = 0 AS is_chat,
       start.timestamp + 3 * row_number() OVER () AS id,
       start.message + 2 * row_number() OVER () AS message,
       start.chat + row_number() OVER (PARTITION BY number % 4 = 0) AS chat
FROM unnest(ARRAY[20, 1000, 10000]) AS size
CROSS JOIN LATERAL generate_series(1, size) AS number
CROSS JOIN (
    SELECT nextval('timeline') AS timestamp, nextval('message_ids') AS message, last_chat AS chat
    FROM applications WHERE id = 1
) AS start;
SELECT setval('message_ids', max(message) + 2), setval('timeline', max(id) + 3) FROM place;
UPDATE applications
SET last_chat = (SELECT max(chat) FROM place WHERE is_chat), chats = (SELECT max(chat) FROM place WHERE is_chat)
WHERE id = 1;

INSERT INTO conversations
    (application_id, id, timestamp, created, least, greatest, least_read, greatest_read, least_as_of,
     greatest_as_of, least_blocks, greatest_blocks)
SELECT 1, id, id, now(), peer, reader, 0, 0, 0, 0, false, false FROM place WHERE NOT is_chat;
INSERT INTO conversations (application_id, id, timestamp, created, chat_number, name, owner, members)
SELECT 1, id, id, now(), chat, 'bench', peer, 2 FROM place WHERE is_chat;
INSERT INTO chat_members (application_id, chat_number, user_id, joined)
SELECT 1, chat, unnest(ARRAY[reader, peer]), id FROM place WHERE is_chat;
INSERT INTO messages
    (application_id, id, conversation_id, number, timestamp, sender, recipient, chat_number, created, text,
     deleted, recipient_newest)
SELECT 1, message + number, id, number, id + number, peer, CASE WHEN NOT is_chat THEN reader END,
       CASE WHEN is_chat THEN chat END, now(), repeat('measure it ', 9) || 'x', false,
       CASE WHEN NOT is_chat THEN 0 END
FROM place, generate_series(1, 2) AS number;
INSERT INTO changes
    (application_id, timestamp, kind, message_id, conversation_id, actor, created, number, chat_number,
     with_user)
SELECT 1, id + number, 'message-created', message + number, id, peer, now(), number,
       CASE WHEN is_chat THEN chat END, CASE WHEN NOT is_chat THEN reader END
FROM place, generate_series(1, 2) AS number;
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, unnest(ARRAY[reader, peer]), id + number, message + number
FROM place, generate_series(1, 2) AS number;

-- They are not searched, and so not indexed.
UPDATE followers SET cursor = (SELECT max(id) + 2 FROM place)
WHERE application_id = 1 AND name = 'search-index';
VACUUM ANALYZE changes;
VACUUM ANALYZE chat_members;
VACUUM ANALYZE conversations;
VACUUM ANALYZE messages;
VACUUM ANALYZE updates;
