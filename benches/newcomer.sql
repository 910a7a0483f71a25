-- For the rows `first-sync`, `early-page-messages-N` and `history-N`: 100 users write 1,000 messages each, in
-- turns, to the user `newcomer`, who has not synced yet; as the service stores them.
CREATE TEMPORARY TABLE new AS
SELECT start.id + n AS id, start.timestamp + n AS timestamp, 'writer-' || (n % 100 + 1) AS sender,
       start.timestamp + n % 100 + 100 * (n % 100 = 0)::integer AS conversation_id, (n - 1) / 100 + 1 AS number
FROM generate_series(1, 100000) AS n
CROSS JOIN (
    SELECT nextval('message_ids') AS id, nextval('timeline') AS timestamp
) AS start;
SELECT setval('message_ids', max(id)), setval('timeline', max(timestamp)) FROM new;

INSERT INTO conversations
    (application_id, id, timestamp, created, least, greatest, least_read, greatest_read, least_as_of,
     greatest_as_of, least_blocks, greatest_blocks)
SELECT 1, conversation_id, conversation_id, now(), 'newcomer', sender, 0, 0, 0, 0, false, false
FROM new
WHERE number = 1;
INSERT INTO messages
    (application_id, id, conversation_id, number, timestamp, sender, recipient, created, text, deleted,
     recipient_newest)
SELECT 1, id, conversation_id, number, timestamp, sender, 'newcomer', now(),
       repeat('measure it ', 9) || 'x', false, 0
FROM new;
INSERT INTO changes
    (application_id, timestamp, kind, message_id, conversation_id, actor, created, with_user, number)
SELECT 1, timestamp, 'message-created', id, conversation_id, sender, now(), 'newcomer', number FROM new;
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, unnest(ARRAY[sender, 'newcomer']), timestamp, id FROM new;

-- They are not searched, and so not indexed.
UPDATE followers SET cursor = (SELECT max(timestamp) FROM new)
WHERE application_id = 1 AND name = 'search-index';
VACUUM ANALYZE changes;
VACUUM ANALYZE conversations;
VACUUM ANALYZE messages;
VACUUM ANALYZE updates;
