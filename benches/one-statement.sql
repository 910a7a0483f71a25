-- A message with its two updates in one statement.
\set sender random(1, 1000)
\set recipient random(1, 1000)
WITH message AS (
    INSERT INTO messages
        (application_id, id, conversation_id, number, timestamp, sender, recipient, created, text,
         deleted)
    VALUES
        (1, nextval('message_ids'), 1000 * :sender + :recipient, currval('message_ids'),
         nextval('timeline'), 'user-' || :sender, 'user-' || :recipient, clock_timestamp(),
         repeat('x', 100), false)
    RETURNING id, timestamp, sender, recipient
)
-- A user of its own takes the recipient's update: both may draw the same number.
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, unnest(ARRAY[sender, 'r-' || recipient]), timestamp, id FROM message;
