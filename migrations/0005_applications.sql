-- The token of an application is stored as its SHA-256 hash; the default application has none until
-- the administrator makes one. Ids are given by a sequence, since a token names its application
-- before the row is there.
ALTER TABLE applications ADD COLUMN token_hash bytea CHECK (octet_length(token_hash) = 32);
CREATE SEQUENCE application_ids AS bigint MINVALUE 2 MAXVALUE 9007199254740991;
