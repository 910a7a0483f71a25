-- A message with its two updates in five statements.
\set sender random(1, 1000)
\set recipient random(1, 1000)
BEGIN;
INSERT INTO messages
    (application_id, id, conversation_id, number, timestamp, sender, recipient, created, text, deleted)
VALUES
    (1, nextval('message_ids'), 1000 * :sender + :recipient, currval('message_ids'), nextval('timeline'),
     'user-' || :sender, 'user-' || :recipient, clock_timestamp(), repeat('x', 100), false);
INSERT INTO updates (application_id, user_id, timestamp, message_id)
VALUES (1, 'user-' || :sender, currval('timeline'), currval('message_ids'));
-- A user of its own takes the recipient's update: both may draw the same number.
INSERT INTO updates (application_id, user_id, timestamp, message_id)
VALUES (1, 'r-user-' || :recipient, currval('timeline'), currval('message_ids'));
COMMIT;
