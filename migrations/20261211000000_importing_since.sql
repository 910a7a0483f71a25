-- The number of the message after which a member of a chat that is being imported has joined where it comes from.
ALTER TABLE importing_members ADD COLUMN since bigint NOT NULL DEFAULT 0;
