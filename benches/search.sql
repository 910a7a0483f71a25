-- Messages to search among, :messages of them: 14 words each of a vocabulary of 20,000, as unevenly
-- used as words are; a tenth of them Chinese. A tenth is sent by the user `heavy`, one in 500 by
-- `light`, and one in 20 into a chat. They are put where the batches of the service put them.
CREATE TABLE bench_words AS
SELECT rank, substr(translate(md5(rank::text), '0123456789', 'ghijklmnop'), 1, 3 + rank % 6) AS word
FROM generate_series(0, 19999) AS rank;
ALTER TABLE bench_words ADD PRIMARY KEY (rank);

INSERT INTO conversations
    (application_id, id, timestamp, created, chat_number, name, owner, members)
VALUES (1, nextval('timeline'), currval('timeline'), now(), 1000000, 'bench', 'heavy', 1);
INSERT INTO chat_members (application_id, chat_number, user_id, joined)
VALUES (1, 1000000, 'heavy', 1);
UPDATE applications SET chats = chats + 1, last_chat = 1000000 WHERE id = 1;

WITH drawn AS (
    SELECT number, random() AS share FROM generate_series(1, :messages) AS number
),
new AS (
    SELECT start.id + number AS id, start.timestamp + number AS timestamp, number,
           share < 0.05 AS in_chat,
           CASE WHEN share >= 0.05 AND share < 0.15 THEN 'heavy'
                WHEN share >= 0.15 AND share < 0.152 THEN 'light'
                ELSE 'user-' || ceil(random() * 1000) END AS sender,
           CASE WHEN number % 10 = 0 THEN (
               SELECT string_agg(chr(19968 + floor(power(3000, random()))::int), '')
               FROM generate_series(1, 34) AS turn WHERE turn + number > 0
           ) ELSE (
               SELECT string_agg(word, ' ')
               FROM (
                   SELECT floor(power(20000, random()))::int AS rank
                   FROM generate_series(1, 14) AS turn WHERE turn + number > 0
               ) AS ranks
               JOIN bench_words USING (rank)
           ) END AS text
    FROM drawn
    CROSS JOIN (
        SELECT nextval('message_ids') AS id, nextval('timeline') AS timestamp
    ) AS start
),
stored AS (
    INSERT INTO messages
        (application_id, id, conversation_id, number, timestamp, sender, recipient, chat_number,
         created, text, deleted)
    -- No search looks for the conversation of a personal message, so each has one of its own.
    SELECT 1, id,
           CASE WHEN in_chat
               THEN (SELECT c.id FROM conversations AS c WHERE application_id = 1 AND chat_number = 1000000)
               ELSE timestamp
           END,
           number, timestamp, sender, CASE WHEN NOT in_chat THEN 'user-' || ceil(random() * 1000) END,
           CASE WHEN in_chat THEN 1000000 END, now(), text, false
    FROM new
    RETURNING id, timestamp, conversation_id, sender, created
)
INSERT INTO changes (application_id, timestamp, kind, message_id, conversation_id, actor, created)
SELECT 1, timestamp, 'message-created', id, conversation_id, sender, created FROM stored;
SELECT setval('message_ids', max(id)), setval('timeline', max(timestamp)) FROM messages;
VACUUM ANALYZE messages;
VACUUM ANALYZE changes;
