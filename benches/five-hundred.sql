-- 500 messages with their updates in one statement.
WITH message AS (
    INSERT INTO messages
        (application_id, id, conversation_id, number, timestamp, sender, recipient, created, text,
         deleted)
    SELECT 1, nextval('message_ids'), number, currval('message_ids'), nextval('timeline'),
           'user-' || number, 'user-' || (number + 7),
           clock_timestamp(), repeat('x', 100), false
    FROM generate_series(1, 500) AS number
    RETURNING id, timestamp, sender, recipient
)
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, unnest(ARRAY[sender, 'r-' || recipient]), timestamp, id FROM message;
