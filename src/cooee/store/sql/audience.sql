-- Stored lists of numbers.

-- name: lists_of json(id, description, count, deleted_at, active)
-- Every list of an account, with the newest campaign to it that is not over, else 0. An account has few enough
-- lists to be sorted by whoever asks: both engines fold case in their own ways.
SELECT l.id, l.description, l.count, l.deleted_at, COALESCE((
    SELECT c.id FROM campaign_list s JOIN campaign c ON c.account_id = s.account_id AND c.id = s.campaign_id
    WHERE s.account_id = l.account_id AND s.list_id = l.id AND c.state IN (1, 2, 3, 4)
    ORDER BY c.created_at DESC, c.id DESC LIMIT 1), 0) AS active
FROM list l
WHERE l.account_id = :account_id AND (l.deleted_at IS NULL OR CAST(:deleted AS BIGINT) = 1);

-- name: find_list
SELECT description FROM list WHERE account_id = :account_id AND id = :id AND deleted_at IS NULL;

-- name: find_lists rows(id bigint)
-- Those of the given lists that the account has.
SELECT l.id FROM {rows} AS r JOIN list l ON l.account_id = :account_id AND l.id = r.id
WHERE l.deleted_at IS NULL;

-- name: list_page json(number)
SELECT number FROM list_number WHERE account_id = :account_id AND list_id = :id AND number > :after
ORDER BY number LIMIT :limit;

-- name: add_list
INSERT INTO list (account_id, id, description, created_at, deleted_at, count)
VALUES (:account_id, :id, :description, :now, :deleted_at, 0);

-- name: lock_list [sqlite]
SELECT deleted_at FROM list WHERE account_id = :account_id AND id = :id;

-- name: lock_list [postgres]
-- Whoever changes a list's numbers locks it first: its count is then theirs to change, and two requests with
-- the same numbers wait for one another here instead of in the middle.
SELECT deleted_at FROM list WHERE account_id = :account_id AND id = :id FOR UPDATE;

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

-- name: add_campaign_lists rows(account_id bigint, list_id bigint, campaign_id bigint)
-- In the transaction that shows the campaign, or adds to it; its list may have been added before.
INSERT INTO campaign_list (account_id, list_id, campaign_id)
SELECT r.account_id, r.list_id, r.campaign_id FROM {rows} AS r WHERE TRUE
ON CONFLICT (account_id, list_id, campaign_id) DO NOTHING;
