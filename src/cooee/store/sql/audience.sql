-- Stored lists of numbers.

-- name: lists_of [sqlite] json(id, description, count, deleted_at, active)
-- Every list of an account, with the newest campaign to it that is not over, else 0. An account has few enough
-- lists to be sorted by whoever asks: both engines fold case in their own ways. Campaigns come from the indexes of
-- those that are not over.
WITH unfinished AS (
    SELECT id, created_at FROM campaign INDEXED BY campaign_unstarted WHERE account_id = :account_id AND state IN (1, 4)
    UNION ALL SELECT id, created_at FROM campaign INDEXED BY campaign_starting WHERE account_id = :account_id AND state = 2
    UNION ALL SELECT id, created_at FROM campaign INDEXED BY campaign_running WHERE account_id = :account_id AND state = 3
), sent AS (
    SELECT s.list_id, c.id, ROW_NUMBER() OVER (PARTITION BY s.list_id ORDER BY c.created_at DESC, c.id DESC) AS place
    FROM unfinished c CROSS JOIN campaign_list s WHERE s.account_id = :account_id AND s.campaign_id = c.id
)
SELECT l.id, l.description, l.count, l.deleted_at, COALESCE(s.id, 0) AS active
FROM list l LEFT JOIN sent s ON s.list_id = l.id AND s.place = 1
WHERE l.account_id = :account_id AND l.filling_at IS NULL
  AND (l.deleted_at IS NULL OR CAST(:deleted AS BIGINT) = 1);

-- name: lists_of [postgres] json(id, description, count, deleted_at, active)
WITH unfinished AS (
    SELECT id, created_at FROM campaign WHERE account_id = :account_id AND state IN (1, 4)
    UNION ALL SELECT id, created_at FROM campaign WHERE account_id = :account_id AND state = 2
    UNION ALL SELECT id, created_at FROM campaign WHERE account_id = :account_id AND state = 3
), sent AS (
    SELECT s.list_id, c.id, ROW_NUMBER() OVER (PARTITION BY s.list_id ORDER BY c.created_at DESC, c.id DESC) AS place
    FROM unfinished c CROSS JOIN campaign_list s WHERE s.account_id = :account_id AND s.campaign_id = c.id
)
SELECT l.id, l.description, l.count, l.deleted_at, COALESCE(s.id, 0) AS active
FROM list l LEFT JOIN sent s ON s.list_id = l.id AND s.place = 1
WHERE l.account_id = :account_id AND l.filling_at IS NULL
  AND (l.deleted_at IS NULL OR CAST(:deleted AS BIGINT) = 1);

-- name: find_list
SELECT description FROM list
WHERE account_id = :account_id AND id = :id AND deleted_at IS NULL AND filling_at IS NULL;

-- name: find_lists rows(id bigint)
-- Those of the given lists that the account has.
SELECT l.id FROM {rows} AS r JOIN list l ON l.account_id = :account_id AND l.id = r.id
WHERE l.deleted_at IS NULL AND l.filling_at IS NULL;

-- name: list_page json(number)
SELECT number FROM list_number WHERE account_id = :account_id AND list_id = :id AND number > :after
ORDER BY number LIMIT :limit;

-- name: add_list
INSERT INTO list (account_id, id, description, created_at, filling_at, count)
VALUES (:account_id, :id, :description, :now, :filling_at, 0);

-- name: lock_list [sqlite]
SELECT deleted_at FROM list WHERE account_id = :account_id AND id = :id AND filling_at IS NULL;

-- name: lock_list [postgres]
-- Whoever changes a list's numbers locks it first: its count is then theirs to change, and two requests with
-- the same numbers wait for one another here instead of in the middle.
SELECT deleted_at FROM list WHERE account_id = :account_id AND id = :id AND filling_at IS NULL FOR UPDATE;

-- name: add_list_numbers rows(number bigint)
-- How many rows it touches is how many numbers were new.
INSERT INTO list_number (account_id, list_id, number)
SELECT CAST(:account_id AS BIGINT), CAST(:id AS BIGINT), r.number FROM {rows} AS r WHERE TRUE
ON CONFLICT (account_id, list_id, number) DO NOTHING;

-- name: remove_list_numbers [sqlite] rows(number bigint)
DELETE FROM list_number WHERE account_id = :account_id AND list_id = :id
AND number IN (SELECT r.number FROM {rows} AS r);

-- name: remove_list_numbers [postgres] rows(number bigint)
-- An array is looked up in the primary key, number by number. Joined as rows, it was compared with all of the
-- list (measured: 30,000 numbers took over 20 s).
DELETE FROM list_number WHERE account_id = :account_id AND list_id = :id
AND number = ANY (ARRAY(SELECT r.number FROM {rows} AS r));

-- name: count_list
UPDATE list SET count = count + :change WHERE account_id = :account_id AND id = :id;

-- name: set_list_deleted
UPDATE list SET deleted_at = :deleted_at WHERE account_id = :account_id AND id = :id;

-- name: go_on_filling
-- Locks a list that is not whole; nothing to lock once it was given up. `now` is NULL with the last piece.
UPDATE list SET filling_at = :now WHERE account_id = :account_id AND id = :id AND filling_at > 0;

-- name: give_up_filling
-- Lists that nobody goes on with: their node died.
UPDATE list SET filling_at = 0 WHERE filling_at > 0 AND filling_at < :before;

-- name: given_up
SELECT account_id, id FROM list WHERE filling_at = 0 LIMIT 1;

-- name: drop_list_piece
-- In pieces, so that the writer is never held for long.
DELETE FROM list_number WHERE account_id = :account_id AND list_id = :id AND number <= (
    SELECT MAX(n.number) FROM (SELECT number FROM list_number
        WHERE account_id = :account_id AND list_id = :id ORDER BY number LIMIT :limit) AS n);

-- name: drop_list
DELETE FROM list WHERE account_id = :account_id AND id = :id AND filling_at = 0;

-- name: add_campaign_lists rows(account_id bigint, list_id bigint, campaign_id bigint)
-- In the transaction that shows the campaign, or adds to it; its list may have been added before.
INSERT INTO campaign_list (account_id, list_id, campaign_id)
SELECT r.account_id, r.list_id, r.campaign_id FROM {rows} AS r WHERE TRUE
ON CONFLICT (account_id, campaign_id, list_id) DO NOTHING;
