-- 20,000 rows of updates in one statement: 20 changes, each of which concerns 1,000 users.
INSERT INTO updates (application_id, user_id, timestamp, message_id)
SELECT 1, 'user-' || member, change.timestamp, change.timestamp
FROM (SELECT nextval('timeline') AS timestamp FROM generate_series(1, 20)) AS change
CROSS JOIN generate_series(1, 1000) AS member;
