-- Receipts as they came: store/receiptlog.py.

-- name: keep_receipts
-- One row a transaction, however many receipts it applied.
INSERT INTO receipt_log (at, at_span, carrier_id, campaign_low, campaign_span, destination_low, destination_span,
    receipts, packed, body)
VALUES (:at, :at_span, :carrier_id, :campaign_low, :campaign_span, :destination_low, :destination_span, :receipts,
    :packed, :body);

-- name: receipt_boundary
-- Where a stretch of the log ends, so that one look goes through no more than `skip` rows of the index.
SELECT at FROM receipt_log WHERE at > :after AND at <= :until ORDER BY at LIMIT 1 OFFSET :skip;

-- name: receipts_within
-- Rows that can concern a recipient, found by the index alone: those that begin behind `after`, and the few that began
-- before it, were put together and reach over it; `since` is as much before as a row spans at most.
SELECT l.at, k.name, l.body FROM (
    SELECT f.id, f.at FROM (
        SELECT id, at FROM receipt_log WHERE at > :after AND at <= :until
            AND campaign_low <= :campaign_id AND campaign_low + campaign_span >= :campaign_id
            AND destination_low <= :destination AND destination_low + destination_span >= :destination
        UNION ALL
        SELECT id, at FROM receipt_log WHERE at_span > 0 AND at > :since AND at <= :after AND at + at_span > :after
            AND campaign_low <= :campaign_id AND campaign_low + campaign_span >= :campaign_id
            AND destination_low <= :destination AND destination_low + destination_span >= :destination
    ) AS f ORDER BY f.at LIMIT :limit
) AS c JOIN receipt_log l ON l.id = c.id LEFT JOIN carrier k ON k.id = l.carrier_id
ORDER BY l.at;

-- name: unpacked_receipts
-- A page of what may be put together, in the order in which it is.
SELECT carrier_id, at, id, receipts FROM receipt_log
WHERE packed = 0 AND at < :before AND (carrier_id, at, id) > (:carrier_id, :after, :after_id)
ORDER BY carrier_id, at, id LIMIT :limit;

-- name: receipt_rows rows(id bigint)
SELECT l.at, l.campaign_low, l.campaign_span, l.destination_low, l.destination_span, l.body
FROM {rows} AS r JOIN receipt_log l ON l.id = r.id ORDER BY l.at, l.id;

-- name: drop_receipt_rows rows(id bigint)
DELETE FROM receipt_log WHERE id IN (SELECT r.id FROM {rows} AS r);

-- name: leave_receipt_rows rows(id bigint)
-- Rows that stay as they are.
UPDATE receipt_log SET packed = 1 WHERE id IN (SELECT r.id FROM {rows} AS r);

-- name: drop_old_receipts
DELETE FROM receipt_log WHERE id IN (SELECT id FROM receipt_log WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_receipts
SELECT COUNT(*) FROM receipt_log WHERE at < :before;
