-- 100 users write 1,000 messages each, in turns, to the user :newcomer of an :application, :days days ago, as the
-- service stores them. The newcomer has not synced yet.
SELECT now() - make_interval(days => :days) AS created \gset
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
SELECT :application, conversation_id, conversation_id, :'created'::timestamptz, least(:'newcomer', sender),
       greatest(:'newcomer', sender), 0, 0, 0, 0, false, false
FROM new
WHERE number = 1;
INSERT INTO messages
    (application_id, id, conversation_id, number, timestamp, sender, recipient, created, text, deleted,
     recipient_newest)
SELECT :application, id, conversation_id, number, timestamp, sender, :'newcomer',
       :'created'::timestamptz, repeat('measure it ', 9) || 'x', false, 0
FROM new;
INSERT INTO changes
    (application_id, timestamp, kind, message_id, conversation_id, actor, created, with_user, number)
SELECT :application, timestamp, 'message-created', id, conversation_id, sender, :'created'::timestamptz,
       :'newcomer', number
FROM new;
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT :application, unnest(ARRAY[sender, :'newcomer']), timestamp, id FROM new;

VACUUM ANALYZE changes;
VACUUM ANALYZE conversations;
VACUUM ANALYZE messages;
VACUUM ANALYZE updates;
