-- A page of a first sync: 50 entries of a user after any of them.
\set user random(1, 1000)
\set after random(1, :last)
SELECT timestamp, message_id FROM updates
WHERE application_id = 1 AND user_id = 'user-' || :user AND timestamp > :after ORDER BY timestamp LIMIT 50;
