-- Ids, facts about the database itself, partitions.

-- name: take_ids
-- Takes a block of ids; the row lock is held for this one statement's transaction only.
UPDATE counter SET value = value + :count WHERE name = :name RETURNING value - :count;

-- name: get_meta
SELECT value FROM meta WHERE name = :name;

-- name: is_empty
-- Whether anybody lives in this database yet: the key file is made only for an empty one.
SELECT CASE WHEN EXISTS (SELECT 1 FROM account) OR EXISTS (SELECT 1 FROM carrier) THEN 0 ELSE 1 END;

-- name: sweep_turn [sqlite]
SELECT 1 WHERE :key >= 0;

-- name: sweep_turn [postgres]
-- One node sweeps at a time; the others find the lock taken and leave it. It ends with the transaction.
SELECT 1 WHERE pg_try_advisory_xact_lock(CAST(:key AS BIGINT));

-- name: partition_lock [sqlite]

-- name: partition_lock [postgres]
SELECT pg_advisory_xact_lock(1668247298);

-- name: partitions [sqlite]

-- name: partitions [postgres]
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE p.relname IN ('message', 'segment_ref') AND p.relnamespace = 'public'::regnamespace;

-- name: newest_campaign_id
SELECT value FROM counter WHERE name = 'campaign';

-- name: make_message_partition [sqlite]

-- name: make_message_partition [postgres]
-- DDL takes no parameters, so a function that the migration made puts them in, quoted.
SELECT make_partition('message', :name, :low, :high);

-- name: make_ref_partition [sqlite]

-- name: make_ref_partition [postgres]
SELECT make_partition('segment_ref', :name, :low, :high);
