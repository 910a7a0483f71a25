-- 250 changes with two updates each, as a full batch of messages writes them.
WITH new AS (
    SELECT nextval('public.timeline') AS timestamp, number FROM generate_series(1, 250) AS number
),
logged AS (
    INSERT INTO changes (application_id, timestamp, kind, message_id, conversation_id, actor, created, with_user, number)
    SELECT 1, timestamp, 'message-created', timestamp, number, 'user-' || number, now(), 'user-' || (number + 250), 1
    FROM new
)
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, 'user-' || unnest(ARRAY[number, number + 250]), timestamp, timestamp FROM new;
