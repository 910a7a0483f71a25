-- :messages messages between 1,000 users, 300 apart on the timeline, as the service stores them.
WITH new AS (
    SELECT nextval('message_ids') AS id, nextval('timeline') AS timestamp,
           'user-' || (number % 1000 + 1) AS sender,
           'user-' || ((number * 7 + number / 1000) % 1000 + 1) AS recipient
    FROM generate_series(1, :messages) AS number
),
stored AS (
    INSERT INTO messages
        (application_id, id, timestamp, sender, recipient, created, read, text, deleted)
    SELECT 1, id, timestamp, sender, recipient, now(), false, repeat('measure it ', 9) || 'x', false
    FROM new
)
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, sender, timestamp, id FROM new
UNION
SELECT 1, recipient, timestamp, id FROM new;
VACUUM ANALYZE messages;
VACUUM ANALYZE updates;
