-- What waits for a person's eye, in pages: uncertain recipients, what was put aside, receipts that match nothing; and
-- what can be told of carriers from the database alone.

-- name: doubt_page
-- Uncertain recipients between two keys. The partial index over state 2 has them in this order.
SELECT m.account_id, m.campaign_id, m.destination, a.name, m.attempt, COALESCE(k.name, ''), m.changed_at,
    m.uncertain_until
FROM message m JOIN account a ON a.id = m.account_id LEFT JOIN carrier k ON k.id = m.carrier_id
WHERE m.state = 2 AND (m.account_id, m.campaign_id, m.destination) > (:account_after, :campaign_after, :after)
  AND (m.account_id, m.campaign_id) <= (:account_upto, :campaign_upto)
ORDER BY m.account_id, m.campaign_id, m.destination LIMIT :limit;

-- name: doubt_keys
SELECT m.account_id, m.campaign_id, m.destination FROM message m
WHERE m.state = 2 AND (m.account_id, m.campaign_id, m.destination) > (:account_after, :campaign_after, :after)
  AND (m.account_id, m.campaign_id) <= (:account_upto, :campaign_upto)
ORDER BY m.account_id, m.campaign_id, m.destination LIMIT :limit;

-- name: doubt_count
SELECT COUNT(*) FROM (SELECT 1 AS one FROM message m
    WHERE m.state = 2 AND (m.account_id, m.campaign_id) >= (:account_from, :campaign_from)
      AND (m.account_id, m.campaign_id) <= (:account_upto, :campaign_upto) LIMIT :limit) AS piece;

-- name: doubts_among rows(account_id bigint, campaign_id bigint, destination bigint)
-- Which of these are uncertain.
SELECT m.account_id, m.campaign_id, m.destination FROM {rows} AS r
JOIN message m ON m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination
WHERE m.state = 2;

-- name: doubt_release rows(account_id bigint, campaign_id bigint, destination bigint)
-- A person decides to send these again: they become due, and the engine's sweep does the rest.
UPDATE message AS m SET uncertain_until = :now FROM {rows} AS r
WHERE m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination AND m.state = 2;

-- name: campaign_owner
SELECT account_id FROM campaign WHERE id = :id AND state <> 0;

-- name: quarantine_page
-- The next items below id `before`, the newest first.
SELECT q.id, q.at, COALESCE(k.name, ''), q.kind, q.body, q.reason
FROM quarantine q LEFT JOIN carrier k ON k.id = q.carrier_id
WHERE q.id < :before AND (:kind = '' OR q.kind = :kind)
ORDER BY q.id DESC LIMIT :limit;

-- name: quarantine_kinds
SELECT kind, COUNT(*) FROM quarantine GROUP BY kind ORDER BY kind;

-- name: orphans_of
-- The newest receipts of a carrier that match nothing, below id `before`.
SELECT id, id_1, handset, originator, kind, error, code, at FROM orphan_receipt
WHERE carrier_id = :carrier_id AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: orphan_counts
SELECT carrier_id, COUNT(*) FROM orphan_receipt GROUP BY carrier_id;

-- name: carrier_queue
-- What waits for one carrier now: batches, and recipients that are not marked yet. Bounded: the rest is not counted.
SELECT COUNT(*), COALESCE(SUM(w.size - w.marked), 0) FROM (SELECT b.size, b.marked FROM batch b
    WHERE b.carrier_id = :carrier_id AND b.state = 2 ORDER BY b.turn, b.campaign_id, b.no LIMIT :limit) AS w;

-- name: carrier_doubts
SELECT COUNT(*) FROM (SELECT 1 AS one FROM message
    WHERE carrier_id = :carrier_id AND state = 2 LIMIT :limit) AS piece;
