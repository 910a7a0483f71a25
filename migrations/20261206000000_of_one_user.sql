-- What is stored of one user is found by the user.
--
-- The conditions on the user always hold; they keep the planner, which may know nothing of the tables yet,
-- from taking these indexes where no user is named.

-- The chats that the user has left.
CREATE INDEX chat_members_departed ON chat_members (application_id, user_id, chat_number)
    WHERE departed IS NOT NULL AND user_id IS NOT NULL;
CREATE INDEX reactions_of_user ON reactions (application_id, user_id, message_id)
    WHERE user_id IS NOT NULL;
CREATE INDEX reports_of_user ON reports (application_id, reporter, timestamp)
    WHERE reporter IS NOT NULL;
