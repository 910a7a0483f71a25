-- :messages messages between 1,000 users, 300 apart on the timeline, as the service stores them.
CREATE TEMPORARY TABLE new AS
SELECT start.id + number AS id, start.timestamp + number AS timestamp,
       'user-' || (number % 1000 + 1) AS sender,
       'user-' || ((number * 7 + number / 1000) % 1000 + 1) AS recipient
FROM generate_series(1, :messages) AS number
CROSS JOIN (
    SELECT nextval('message_ids') AS id, nextval('timeline') AS timestamp
) AS start;
SELECT setval('message_ids', max(id)), setval('timeline', max(timestamp)) FROM new;

WITH numbered AS (
    SELECT id, timestamp, sender, recipient,
           min(timestamp) OVER pair                    AS conversation_id,
           row_number() OVER (pair ORDER BY timestamp) AS number
    FROM new
    WINDOW pair AS (PARTITION BY least(sender, recipient), greatest(sender, recipient))
),
answering AS (
    SELECT *,
           max(number) FILTER (WHERE sender < recipient) OVER earlier AS of_least,
           max(number) FILTER (WHERE sender > recipient) OVER earlier AS of_greatest
    FROM numbered
    WINDOW earlier AS (PARTITION BY conversation_id ORDER BY number ROWS UNBOUNDED PRECEDING)
),
begun AS (
    INSERT INTO conversations
        (application_id, id, timestamp, created, least, greatest, least_read, greatest_read,
         least_as_of, greatest_as_of, least_blocks, greatest_blocks)
    SELECT 1, conversation_id, conversation_id, now(), least(sender, recipient),
           greatest(sender, recipient), 0, 0, 0, 0, false, false
    FROM numbered
    WHERE number = 1
),
logged AS (
    INSERT INTO changes
        (application_id, timestamp, kind, message_id, conversation_id, actor, created, with_user, number)
    SELECT 1, timestamp, 'message-created', id, conversation_id, sender, now(), recipient, number
    FROM numbered
)
INSERT INTO messages
    (application_id, id, conversation_id, number, timestamp, sender, recipient, created, text, deleted,
     recipient_newest)
SELECT 1, id, conversation_id, number, timestamp, sender, recipient, now(),
       repeat('measure it ', 9) || 'x', false,
       coalesce(CASE WHEN sender < recipient THEN of_greatest ELSE of_least END, 0)
FROM answering;

INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, sender, timestamp, id FROM new
UNION
SELECT 1, recipient, timestamp, id FROM new;

-- They are not searched, and so not indexed.
UPDATE followers SET cursor = (SELECT max(timestamp) FROM new)
WHERE application_id = 1 AND name = 'search-index';
VACUUM ANALYZE changes;
VACUUM ANALYZE conversations;
VACUUM ANALYZE messages;
VACUUM ANALYZE updates;
