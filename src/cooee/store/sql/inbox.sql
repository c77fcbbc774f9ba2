-- Reading what handsets wrote, and the polls that do it. A reply is passed on once: `retrieved_at` says when.

-- name: inbox_waiting json(id, received_at, originator, recipient, body, reference)
-- What was not passed on yet, oldest first, along the index that holds nothing else. Ids of several nodes do not
-- rise with time, so that the order is by both.
SELECT id, received_at, originator, recipient, body, reference FROM reply
WHERE account_id = :account_id AND retrieved_at IS NULL
  AND (received_at, id) > (:received_at, :id)
ORDER BY received_at, id LIMIT :limit;

-- name: inbox_between json(id, received_at, originator, recipient, body, reference)
SELECT id, received_at, originator, recipient, body, reference FROM reply
WHERE account_id = :account_id AND received_at < :until
  AND (received_at, id) > (:received_at, :id)
ORDER BY received_at, id LIMIT :limit;

-- name: inbox_from json(id, received_at, originator, recipient, body, reference)
SELECT id, received_at, originator, recipient, body, reference FROM reply
WHERE account_id = :account_id AND handset = :handset AND received_at < :until
  AND (received_at, id) > (:received_at, :id)
ORDER BY received_at, id LIMIT :limit;

-- name: inbox_flag [sqlite] rows(id bigint)
UPDATE reply SET retrieved_at = :now WHERE account_id = :account_id AND id IN (SELECT r.id FROM {rows} AS r)
AND +retrieved_at IS NULL;

-- name: inbox_flag [postgres] rows(id bigint)
-- Passed on by whoever was first: what a webhook took meanwhile keeps its time.
UPDATE reply SET retrieved_at = :now WHERE account_id = :account_id
AND id = ANY (ARRAY(SELECT r.id FROM {rows} AS r)) AND retrieved_at IS NULL;

-- name: pay_poll
-- A poll costs a minute, and `paid_until` is when all of them are paid off: three may be owed. One statement, so that
-- nodes share the account's bucket. A time that lies too far ahead was written by a clock that has been put back.
INSERT INTO reply_poll (account_id, paid_until, holder, beat) VALUES (:account_id, :fresh, NULL, 0)
ON CONFLICT (account_id) DO UPDATE SET paid_until =
    CASE WHEN reply_poll.paid_until > :now AND reply_poll.paid_until <= :absurd THEN reply_poll.paid_until + :cost
    ELSE :fresh END
WHERE reply_poll.paid_until <= :latest OR reply_poll.paid_until > :absurd
RETURNING paid_until;

-- name: find_poll
SELECT paid_until, holder, beat FROM reply_poll WHERE account_id = :account_id;

-- name: begin_poll
-- If nobody polls, or who does is the one that was seen dead.
UPDATE reply_poll SET holder = :holder, beat = 0
WHERE account_id = :account_id AND (holder IS NULL OR (holder = CAST(:dead AS BIGINT) AND beat = CAST(:beat AS BIGINT)));

-- name: beat_poll
UPDATE reply_poll SET beat = beat + 1 WHERE account_id = :account_id AND holder = :holder;

-- name: end_poll
UPDATE reply_poll SET holder = NULL WHERE account_id = :account_id AND holder = :holder;
