-- Who must not be written to. What holds is in `optout`, what held is in `optout_past`.

-- name: add_optouts rows(account_id bigint, destination bigint, reason text, who text, body text)
-- The first reason stays: it tells since when nothing may be sent.
INSERT INTO optout (account_id, destination, added_at, reason, who, body)
SELECT r.account_id, r.destination, CAST(:now AS BIGINT), r.reason, r.who, r.body FROM {rows} AS r WHERE true
ON CONFLICT (account_id, destination) DO NOTHING;

-- name: keep_optouts rows(account_id bigint, destination bigint, who text, body text)
-- What is about to be deleted goes into the history.
INSERT INTO optout_past (account_id, destination, added_at, deleted_at, reason, who, body, deleted_reason, deleted_who,
    deleted_body)
SELECT o.account_id, o.destination, o.added_at, CAST(:now AS BIGINT), o.reason, o.who, o.body,
    CAST(:reason AS TEXT), r.who, r.body
FROM {rows} AS r
JOIN optout o ON o.account_id = r.account_id AND o.destination = r.destination
WHERE true
ON CONFLICT DO NOTHING;

-- name: drop_optouts rows(account_id bigint, destination bigint, who text, body text)
DELETE FROM optout WHERE (account_id, destination) IN (SELECT r.account_id, r.destination FROM {rows} AS r);

-- name: optouts_page json(destination, added_at, reason, body)
-- Newest first, backwards along the index that says so. SQLite seeks by both columns only where no CAST is around
-- the values: else a million that were added at once are walked from their end for each page.
SELECT destination, added_at, reason, body FROM optout
WHERE account_id = :account_id AND (added_at, destination) < (:added_at, :destination)
ORDER BY added_at DESC, destination DESC LIMIT :limit;

-- name: optout_list
-- For a person: what holds, newest first.
SELECT destination, added_at, reason, who, body FROM optout
WHERE account_id = :account_id ORDER BY added_at DESC, destination DESC LIMIT :limit;

-- name: optout_history
-- For a person: everything that is known of an account's opt-outs, or of one number's, newest first.
SELECT destination, added_at, reason, who, body, NULL AS deleted_at, NULL AS deleted_reason, NULL AS deleted_who,
    NULL AS deleted_body
FROM optout
WHERE account_id = :account_id AND (CAST(:destination AS BIGINT) IS NULL OR destination = :destination)
UNION ALL
SELECT destination, added_at, reason, who, body, deleted_at, deleted_reason, deleted_who, deleted_body
FROM optout_past
WHERE account_id = :account_id AND (CAST(:destination AS BIGINT) IS NULL OR destination = :destination)
ORDER BY 2 DESC, 1 DESC LIMIT :limit;
