-- Ids, facts about the database itself, partitions.

-- name: take_ids
-- Takes a block of ids; the row lock is held for this one statement's transaction only.
UPDATE counter SET value = value + :count WHERE name = :name RETURNING value - :count;

-- name: get_meta
SELECT value FROM meta WHERE name = :name;

-- name: put_meta
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: is_empty
-- Whether anybody lives in this database yet: the key file is made only for an empty one.
SELECT CASE WHEN EXISTS (SELECT 1 FROM account) OR EXISTS (SELECT 1 FROM carrier) THEN 0 ELSE 1 END;
