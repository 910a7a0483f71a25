-- A message with its two updates in five statements.
\set sender random(1, 1000)
\set recipient random(1, 1000)
BEGIN;
INSERT INTO messages
    (application_id, id, timestamp, sender, recipient, created, read, text, deleted)
VALUES
    (1, nextval('message_ids'), nextval('timeline'), 'user-' || :sender, 'user-' || :recipient,
     clock_timestamp(), false, repeat('x', 100), false);
INSERT INTO updates (application_id, user_id, timestamp, message_id)
VALUES (1, 'user-' || :sender, currval('timeline'), currval('message_ids'));
-- A user of its own takes the recipient's update: both may draw the same number.
INSERT INTO updates (application_id, user_id, timestamp, message_id)
VALUES (1, 'r-user-' || :recipient, currval('timeline'), currval('message_ids'));
COMMIT;
